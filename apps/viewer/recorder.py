"""Write annotated videos when it is told to, one a source: a sink that takes everything and mostly does nothing.

It stands in the pipeline from the beginning, on a thread of its own; a slow disk makes it miss frames, not the run.
Before the disk is full it stops by itself, so that what was recorded can still be finished and played.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgevit.errors import EdgevitError, UsageError
from edgevit.runtime.frame import Frame
from edgevit.runtime.results import Result
from edgevit.runtime.sinks import Sink, check_folder, open_sink
from edgevit.runtime.sinks.labels import labels_of

LEAST_FREE_BYTES = 200 << 20
_LOOK_EVERY = 30
"""Frames between two looks at the disk."""


class Recorder:
    """Hold the videos that are being written. Any thread may start and stop it."""

    place = "recorder"

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        free_bytes: Callable[[Path], int] = lambda place: shutil.disk_usage(place).free,
    ) -> None:
        self._folder, self._free_bytes = folder, free_bytes
        self._labels = labels_of(names) if len(names) > 1 else ("",)
        self._sinks: dict[int, Sink] = {}
        self._files: tuple[str, ...] = ()
        self._began_s = 0.0
        self._frames = 0
        self._fault = ""
        self._lock = threading.Lock()

    def start(self) -> tuple[str, ...]:
        """Begin a video a source, from the next frame on, and return where they will be."""
        with self._lock:
            if self._sinks:
                raise UsageError("A recording runs already; stop it first.")
            check_folder(self._folder)
            self._look()
            places = _names(self._folder, self._labels)
            self._sinks = {lane: open_sink(place) for lane, place in enumerate(places)}
            self._files, self._fault = tuple(map(str, places)), ""
            self._began_s, self._frames = time.monotonic(), 0
            return self._files

    def stop(self) -> tuple[str, ...]:
        """Finish the videos and return those that hold something."""
        with self._lock:
            if not self._sinks:
                raise UsageError("Nothing is being recorded.")
            self._finish()
            return tuple(file for file in self._files if Path(file).is_file())

    def state(self) -> dict[str, Any]:
        """Return what the page shows. It does not wait for a frame that is being written."""
        on = bool(self._sinks)
        seconds = round(time.monotonic() - self._began_s, 1) if on else 0.0
        return {"on": on, "seconds": seconds, "frames": self._frames, "files": list(self._files), "fault": self._fault}

    def write(self, frame: Frame, result: Result) -> None:
        """Take a frame of the only source."""
        self.write_from(frame, result, lane=0, born_ns=0)

    def write_from(self, frame: Frame, result: Result, *, lane: int, born_ns: int) -> None:
        """Take a frame; a fault of the disk ends the recording, not the run."""
        with self._lock:
            sink = self._sinks.get(lane)
            if sink is None:
                return
            try:
                if self._frames % _LOOK_EVERY == 0:
                    self._look()
                sink.write(frame, result)
                self._frames += 1
            except EdgevitError as exc:
                self._finish(str(exc))

    def close(self) -> None:
        """Finish what is being recorded; the run is over."""
        with self._lock:
            self._finish(self._fault)

    def _finish(self, fault: str = "") -> None:
        sinks, self._sinks = self._sinks, {}
        self._fault = fault
        for sink in sinks.values():
            try:
                sink.close()
            except EdgevitError as exc:
                self._fault = self._fault or str(exc)

    def _look(self) -> None:
        folder = next(place for place in (self._folder, *self._folder.absolute().parents) if place.exists())
        if (free := self._free_bytes(folder)) < LEAST_FREE_BYTES:
            raise UsageError(
                f"Only {free >> 20} MB are free where {self._folder} is, so nothing is recorded; "
                f"{LEAST_FREE_BYTES >> 20} MB are left alone."
            )


def _names(folder: Path, labels: Sequence[str]) -> list[Path]:
    """Return names of the time that no file has, with the sources' labels where there are several."""
    stem = time.strftime("edgevit-%Y%m%d-%H%M%S")
    for turn in range(1, 1000):
        tail = "" if turn == 1 else f"-{turn}"
        places = [folder / f"{stem}{tail}{label and f'-{label}'}.mp4" for label in labels]
        if not any(place.exists() for place in places):
            return places
    raise UsageError(f"{folder} is full of recordings of this second; ask again in a moment.")
