"""Answers that draw a white corner, the frames they are of, and the way of both into an output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.runtime.frame import Frame
from edgevit.runtime.sinks import open_sink

U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Answer:
    """Be a result that draws a white corner."""

    frame: Frame
    value: float = 0.5

    @property
    def speed(self) -> dict[str, float]:
        return {}

    def plot(self) -> U8:
        picture = np.array(self.frame.to_rgb())
        picture[:8, :8] = 255
        return picture

    def to_dict(self) -> dict[str, Any]:
        return {"index": self.frame.index, "name": "größe", "score": self.value}


def frame(index: int = 0, source: str = "", size_hw: tuple[int, int] = (48, 64), at_ns: int = 0) -> Frame:
    rgb = np.zeros((*size_hw, 3), np.uint8)
    rgb[:] = (200, 60, 30)
    return Frame(rgb, "rgb", at_ns, index, source)


def feed(place: str | Path, *frames: Frame, **options: Any) -> None:
    sink = open_sink(place, **options)
    for one in frames:
        sink.write(one, Answer(one))
    sink.close()
    sink.close()  # a second time does nothing
