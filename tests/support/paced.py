"""Sources that come at a pace, models and sinks that wait, block or raise: the parts of a run, without a net."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgevit.runtime.frame import Frame
from edgevit.runtime.stages import Job, Stage

PIXELS = np.zeros((4, 4, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class Told:
    """Be a result that knows its frame."""

    frame: Frame
    speed: dict[str, float] = field(default_factory=dict)

    def plot(self) -> Any:
        return PIXELS

    def to_dict(self) -> dict[str, Any]:
        return {"index": self.frame.index}


class Paced:
    """Yield numbered frames; a live one at a pace, whether they are fetched or not."""

    def __init__(self, count: int, *, live: bool = True, every_s: float = 0.0, name: str = "paced") -> None:
        self.live, self.total, self.name = live, count, name
        self.any_thread = not live
        self.faults: tuple[str, ...] = ()
        self.reconnects = 0
        self.raises: BaseException | None = None
        self.blocks: threading.Event | None = None
        self.closed = threading.Event()
        self._every_s = every_s

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.total):
            if self._every_s and self.closed.wait(self._every_s):
                return
            if self.closed.is_set():
                return
            yield Frame(PIXELS, "rgb", time.monotonic_ns(), index, self.name)
        if self.blocks is not None:
            self.blocks.wait(60)
        if self.raises is not None:
            raise self.raises

    def close(self) -> None:
        self.closed.set()


class Waits:
    """Be a model of several stages that sleep; ``fault`` is raised by one of them at one frame."""

    def __init__(self, *seconds: float, fault: tuple[int, int, BaseException] | None = None) -> None:
        self._seconds, self._fault = seconds, fault
        self.seen: list[list[int]] = [[] for _ in seconds]

    def stages(self) -> tuple[Stage, ...]:
        return tuple(Stage(f"stage {n}", self._step(n)) for n in range(len(self._seconds)))

    def _step(self, number: int) -> Any:
        def step(job: Job) -> Any:
            self.seen[number].append(job.frame.index)
            if self._fault is not None and self._fault[:2] == (number, job.frame.index):
                raise self._fault[2]
            if self._seconds[number]:
                time.sleep(self._seconds[number])
            return Told(job.frame)

        return step


class Kept:
    """Be a sink that remembers; it may be slow, block until it is let go, or raise."""

    def __init__(self, place: str = "kept", *, slow_s: float = 0.0) -> None:
        self.place = place
        self.indices: list[int] = []
        self.closed = 0
        self.raises: tuple[int, BaseException] | None = None
        self.blocks_at: int | None = None
        self.let_go = threading.Event()
        self.began = threading.Event()
        self._slow_s = slow_s

    def write(self, frame: Frame, result: Any) -> None:
        assert result.frame is frame
        self.began.set()
        if self.raises is not None and frame.index == self.raises[0]:
            raise self.raises[1]
        if frame.index == self.blocks_at:
            self.let_go.wait(60)
        time.sleep(self._slow_s)
        self.indices.append(frame.index)

    def close(self) -> None:
        self.closed += 1


def threads() -> list[str]:
    """Name the threads of runs that live."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(("edgevit", "asyncio"))]
