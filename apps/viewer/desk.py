"""Do what viewers order, one order at a time, and say what came of it: an answer, or one sentence."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from edgevit.errors import EdgevitError, UsageError
from edgevit.runtime.frame import Frame
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.steering import Steered

from .recorder import Recorder

Look = Callable[[int, int], "Frame | None"]
"""Return the frame that a viewer saw: the lane and the number of the picture; None if it is long gone."""


class Desk:
    """Hold what can be steered. ``steered`` is None where the model follows nothing."""

    def __init__(self, pipeline: Pipeline, steered: Steered | None, recorder: Recorder, lanes: int) -> None:
        self._pipeline, self._steered, self._recorder = pipeline, steered, recorder
        self._lanes = lanes
        self._turn = threading.Lock()

    def do(self, request: dict[str, Any], look: Look) -> dict[str, Any]:
        """Carry out an order that was checked, and return the reply to it. This may wait for a frame."""
        try:
            with self._turn:
                brought = getattr(self, f"_{request['do']}")(request, look)
        except EdgevitError as exc:
            return {"type": "reply", "ask": request["ask"], "ok": False, "message": str(exc)}
        return {"type": "reply", "ask": request["ask"], "ok": True, **brought}

    def ids(self, lane: int) -> list[int]:
        """Return the targets of a source."""
        return [] if self._steered is None else list(self._steered.ids(lane))

    def _start(self, request: dict[str, Any], look: Look) -> dict[str, Any]:
        lane, steered = self._lane(request), self._tracker()
        frame = look(lane, request["number"])
        if frame is None:
            raise UsageError("The picture on which this was drawn is no longer there. Draw it again.")
        track = steered.start(lane, frame, tuple(float(value) for value in request["place"]))
        return {"lane": lane, "id": track.id, "box_xyxy": track.said()["box_xyxy"]}

    def _stop(self, request: dict[str, Any], look: Look) -> dict[str, Any]:
        self._tracker().stop(self._lane(request), request["id"])
        return {"id": request["id"]}

    def _pause(self, request: dict[str, Any], look: Look) -> dict[str, Any]:
        self._pipeline.pause() if request["on"] else self._pipeline.resume()
        return {"paused": self._pipeline.paused}

    def _record(self, request: dict[str, Any], look: Look) -> dict[str, Any]:
        return {"files": list(self._recorder.start() if request["on"] else self._recorder.stop())}

    def _lane(self, request: dict[str, Any]) -> int:
        lane: int = request["lane"]
        if lane >= self._lanes:
            raise UsageError(f"There is no source {lane}; there are {self._lanes}, counted from 0.")
        return lane

    def _tracker(self) -> Steered:
        if self._steered is None:
            raise UsageError("This model classifies whole pictures; it follows no target.")
        return self._steered
