"""Define what an app receives: frozen dataclasses of numpy arrays that describe one frame."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from edgevit.errors import MissingDependencyError, UsageError
from edgevit.registry import door

from .frame import Frame, Pixels

Scores = npt.NDArray[np.float32]


@runtime_checkable
class Result(Protocol):
    """Say what every task's result can do."""

    @property
    def frame(self) -> Frame:
        """The frame that was asked about."""

    @property
    def speed(self) -> dict[str, float]:
        """The milliseconds of this frame under ``preprocess``, ``inference``, ``postprocess``."""

    def plot(self) -> Pixels:
        """Return the picture with the answer drawn on it, (H, W, 3) in RGB order."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""


@dataclass(frozen=True)
class Speed:
    """Tell where the milliseconds went."""

    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float

    @property
    def total_ms(self) -> float:
        """Add them up."""
        return self.preprocess_ms + self.inference_ms + self.postprocess_ms

    def to_dict(self) -> dict[str, float]:
        """Return them under the names that other tools use."""
        return {
            "preprocess": round(self.preprocess_ms, 3),
            "inference": round(self.inference_ms, 3),
            "postprocess": round(self.postprocess_ms, 3),
        }


@dataclass(frozen=True, eq=False)
class Classification:
    """Hold one score a class for one frame. ``scores`` are probabilities in the order of ``names``.

    ``trained`` is False when the weights are random: then the answer means nothing, and says so wherever it is shown.
    """

    scores: Scores
    names: tuple[str, ...]
    frame: Frame
    timing: Speed
    trained: bool = True
    topk: int = 5
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def top1(self) -> int:
        """The index of the best class."""
        return int(np.argmax(self.scores))

    @property
    def top5(self) -> tuple[int, ...]:
        """The indices of the five best classes, best first."""
        return self.top(5)

    def top(self, count: int) -> tuple[int, ...]:
        """Return the indices of the best classes, best first; equal scores keep the order of the classes."""
        return tuple(int(i) for i in np.argsort(-self.scores, kind="stable")[:count])

    @property
    def speed(self) -> dict[str, float]:
        """The milliseconds of this frame under ``preprocess``, ``inference``, ``postprocess``."""
        return self.timing.to_dict()

    def name(self, index: int) -> str:
        """Return the name of a class; a model without labels has numbers."""
        return self.names[index] if self.names else f"class {index}"

    def plot(self) -> Pixels:
        """Return the picture with the best classes written on it, (H, W, 3) in RGB order."""
        drawn: Pixels = door("edgevit.apps.draw:draw")(self)
        return drawn

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data: the best classes, the frame and the times."""
        data: dict[str, Any] = {
            "task": "classify",
            **place_of(self.frame),
            "top": [
                {"index": i, "name": self.name(i), "score": round(float(self.scores[i]), 6)}
                for i in self.top(self.topk)
            ],
            "speed": self.speed,
            **self.extra,
        }
        return data if self.trained else {**data, "untrained": True}

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_supervision(self) -> Any:
        """Return ``supervision.Classifications``, for those who have that library."""
        return supervision().Classifications(class_id=np.arange(len(self.scores)), confidence=self.scores.copy())

    def __str__(self) -> str:
        best = ", ".join(f"{self.name(i)} {self.scores[i]:.2f}" for i in self.top(self.topk))
        return best if self.trained else f"UNTRAINED weights, no meaning: {best}"


def place_of(frame: Frame) -> dict[str, Any]:
    """Say which frame a result is of, as JSON data."""
    return {"source": frame.source, "index": frame.index, "size_hw": list(frame.size_hw)}


def no_result(answer: object, who: str) -> UsageError:
    """Build the sentence for a model of somebody's own whose answer nobody can write."""
    kind = "None" if answer is None else type(answer).__name__
    return UsageError(
        f"The model answered with {kind}, and {who} needs results, which have to_dict() and plot(). Let it return one, "
        "as edgevit.load(bundle)(frame) does; other answers are for a Pipeline's on_result and results() alone."
    )


def supervision() -> Any:
    """Return that library, for the results that know how to fill its classes."""
    try:
        import supervision as library
    except ImportError as exc:
        raise MissingDependencyError(
            "to_supervision() needs the package 'supervision', which is not installed. Type: pip install supervision"
        ) from exc
    return library
