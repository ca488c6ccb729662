"""Ask the model in torch: what every produced file is compared with."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import torch

from edgevit.bundle import Bundle
from edgevit.errors import ConversionError, UnknownNameError, WeightsError
from edgevit.kernels import normalise
from edgevit.models import ModelDef, create_model
from edgevit.progress import Progress, Step, silent
from edgevit.spec import ImageSpec

from .agreement import relative_errors
from .command import IN_PYTHON

_BATCH = 8
_NOISE_PICTURES = 8
_NOISE = 1e-6
_SEED = re.compile(r"random \(seed (\d+)\)")
_SAME_MODEL = 1e-3
"""Relative. Other threads move an answer by a hundredth of that, other weights by a thousand times."""

Pixels = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Reference:
    """Hold a model and answer for it; the module is the one that was defined, not the rewritten one."""

    model: ModelDef

    def answers(self, pixels: Pixels, progress: Progress | None = None) -> Tensor:
        """Run pixels (N, h, w, 3) through the module and return (N, classes). NaN from the model itself is an error."""
        tell = progress or silent
        rows = []
        for start in range(0, len(pixels), _BATCH):
            rows.append(self._run(self._batch(pixels[start : start + _BATCH])))
            tell(Step("ask the model in torch", done=min(start + _BATCH, len(pixels)), total=len(pixels)))
        answers = np.concatenate(rows)
        if not np.isfinite(answers).all():
            raise ConversionError(f"{self.model.name} itself answers NaN or infinity in torch; its weights are broken.")
        return answers

    def noise_relative(self, pixels: Pixels) -> float:
        """Return how far 1e-6 of noise on the input moves the answer: the median over some pictures, relative."""
        batch = self._batch(pixels[:_NOISE_PICTURES])
        noise = np.random.default_rng(0).standard_normal(batch.shape).astype(np.float32)
        clean, noisy = self._run(batch), self._run(batch + _NOISE * noise)
        return float(np.median(np.abs(noisy - clean).max(1) / np.maximum(np.abs(clean).max(1), 1e-30)))

    def differences(self, image: ImageSpec) -> tuple[str, ...]:
        """Say where a bundle's preprocessing is not the card's own; layout and values are the file's affair."""
        own = replace(self.model.spec.image, layout=image.layout, values=image.values)
        pairs = {f.name: (getattr(image, f.name), getattr(own, f.name)) for f in fields(ImageSpec)}
        return tuple(
            f"{name} is {ours!r}, the card says {card!r}" for name, (ours, card) in pairs.items() if ours != card
        )

    def _batch(self, pixels: Pixels) -> Tensor:
        return np.concatenate([normalise(p, self.model.spec.image) for p in pixels])

    def _run(self, batch: Tensor) -> Tensor:
        with torch.inference_mode():
            rows: Tensor = self.model.module(torch.from_numpy(batch)).float().numpy()
        return rows


def of_bundle(bundle: Bundle, weights: str | None) -> Reference | None:
    """Build the model of a bundle again, if its weights can be had without asking a network; else return None.

    Random weights are never built again: another thread count would already give other numbers. The preprocessing is
    the card's own, so that a bundle with a wrong one is found out; a mean and std given at export are kept.
    """
    manifest = bundle.manifest
    record = manifest.provenance.weights
    if weights is None and record.source != "shipped":
        return None
    model = _built(bundle, weights or "shipped")
    if model.weights.sha256 != record.sha256 or record.sha256 is None:
        raise WeightsError(
            f"{bundle.path} was made from other weights (sha256 {str(record.sha256)[:12]}..., these are "
            f"{str(model.weights.sha256)[:12]}...). Leave --weights out to compare with the stored reference."
        )
    return Reference(model)


def rebuilt(bundle: Bundle, pixels: Pixels, outputs: Tensor) -> Reference:
    """Build a random model again by its seed, to look into it, never to compare with.

    It is the model only if it answers as the stored reference does: another version of torch may draw other numbers.
    """
    manifest = bundle.manifest
    seed = _SEED.fullmatch(manifest.provenance.weights.source)
    own = WeightsError(f"{manifest.model} was made in Python, and no name here builds it again")
    if seed is None:
        told = WeightsError(f"the weights of {manifest.model} are not at hand. Give them with --weights W")
        raise own if manifest.provenance.command.startswith(IN_PYTHON) else told
    try:
        made = Reference(_built(bundle, "random", seed=int(seed[1])))
    except UnknownNameError as exc:
        raise own from exc
    apart = float(relative_errors(outputs, made.answers(pixels)).max())
    if not apart <= _SAME_MODEL:
        raise WeightsError(f"random weights of the seed {seed[1]} come out otherwise here (relative {apart:.2g})")
    return made


def _built(bundle: Bundle, weights: str, seed: int = 0) -> ModelDef:
    spec = bundle.manifest.spec
    given = {name: getattr(spec.image, name) for name in ("mean", "std") if name in bundle.manifest.provenance.given}
    return create_model(
        bundle.manifest.model,
        weights,
        seed,
        num_classes=len(spec.labels),
        labels=spec.labels,
        imgsz=spec.image.size_hw,
        **given,
    )
