"""Run Core ML packages on a Mac, through coremltools. The package says by itself in what it computes.

Core ML takes pictures, not tensors: the levels of the input tensor become one again at this door. Anywhere but on a Mac
there is no Core ML; a proof then evaluates the package (``edgevit verify``), and a phone's app opens it in Swift.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.errors import EngineError, EnvironmentFault, UnsupportedError, missing, reason
from edgevit.manifest import GraphFile

from . import EngineOptions, Tensor, Tensors

_MAC = "darwin"
_BGR = 30
"""What Core ML's file format calls that order of colours."""


def load(path: Path, graph: GraphFile, options: EngineOptions) -> CoremlEngine:
    """Open a package; Core ML chooses among all units of the machine."""
    if sys.platform != _MAC:
        raise EnvironmentFault(
            "Core ML runs on a Mac, an iPhone or an iPad, not here. What evaluates the package on any machine is its "
            "proof. Type: edgevit verify BUNDLE"
        )
    if options.precision != "fp32":
        raise UnsupportedError(
            f"A Core ML package says by itself in what it computes, so '{options.precision}' cannot be asked for here. "
            "Type: edgevit export MODEL --format coreml --precision fp16"
        )
    try:
        with _calm():
            import coremltools as ct
        from PIL import Image
    except ImportError as exc:
        raise missing(str(exc.name or "coremltools"), "Running a Core ML bundle", "coreml") from exc
    options.check_version("coremltools", ct.__version__, "coreml")
    try:
        model = ct.models.MLModel(str(path), compute_units=ct.ComputeUnit.ALL)
        features = {f.name: f.type for f in model.get_spec().description.input}
    except Exception as exc:
        raise EngineError(f"Core ML cannot open {path.name}: {reason(exc)}") from exc
    spaces = {n: t.imageType.colorSpace for n, t in features.items() if t.WhichOneof("Type") == "imageType"}
    text = f"Core ML through coremltools {ct.__version__}, compute units ALL"
    return CoremlEngine(model, graph, text, Image.fromarray, spaces)


@contextmanager
def _calm() -> Iterator[None]:
    """Keep coremltools' remarks on other packages' versions off the terminal while it is imported."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


class CoremlEngine:
    """Hold one Core ML model; ``picture`` makes the image that it takes, ``spaces`` the images' colour orders."""

    def __init__(self, model: Any, graph: GraphFile, description: str, picture: Any, spaces: dict[str, int]) -> None:
        self._model = model
        self._names = [t.name for t in graph.outputs]
        self._picture = picture
        self._spaces = spaces
        self.description = description

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        if self._model is None:
            raise EngineError("This Core ML model was closed; load the bundle again.")
        try:
            answer = self._model.predict({name: self._given(name, value) for name, value in inputs.items()})
        except Exception as exc:
            raise EngineError(f"Core ML could not run the model: {reason(exc)}") from exc
        return {name: np.asarray(answer[name]) for name in self._names if name in answer}

    def _given(self, name: str, value: Tensor) -> Any:
        """Return a tensor (1, 3, h, w) of levels as the RGB picture that it was; other tensors as they are."""
        if name not in self._spaces:
            return value
        levels = np.clip(np.rint(value[0]), 0, 255).astype(np.uint8).transpose(1, 2, 0)
        return self._picture(np.ascontiguousarray(levels[..., ::-1] if self._spaces[name] == _BGR else levels))

    def close(self) -> None:
        self._model = None
