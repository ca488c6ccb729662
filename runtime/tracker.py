"""Follow targets with a tracker's bundle: ``start`` names one, each call takes the next frame for all of them.

Targets belong to one source's frames. Several sources have a lane each: its own targets, before the same engines.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from edgevit.bundle import Bundle
from edgevit.errors import UsageError

from .boxes import Place, box_of, checked_place
from .engines import Engine
from .frame import Frame, frame_of
from .opened import Frames, Opened
from .pointing import box_at
from .results import Speed
from .scene_cuts import SceneCuts
from .stages import Job, Stage
from .streaming import Streams
from .tasks.track import Step, Target
from .tasks.track_net import TrackNet
from .tracks import Track, Tracks

if TYPE_CHECKING:
    from .ledger_report import LedgerReport


class TrackSession(Opened[TrackNet], Streams[Tracks]):
    """Run one tracker. Use it as a context manager, or call ``close``; calls from several threads take turns.

    with edgevit.load("hit_nano-onnx-fp32") as tracker:
        tracker.start(first, (120, 80, 200, 190))
        for frame in frames:
            (track,) = tracker(frame)
    """

    def __init__(self, bundle: Bundle, engines: Mapping[str, Engine]) -> None:
        super().__init__(bundle, TrackNet(bundle.manifest, engines), engines["track"].description)
        self._lanes: dict[int, TrackSession] = {0: self}
        self._making = threading.Lock()  # not the engines' turn: who only asks does not wait for an answer
        self._forget()

    def _forget(self) -> None:
        self._targets: dict[int, Target] = {}
        self._waiting: list[Place] = []
        self._cuts = SceneCuts()
        self._heir: TrackSession | None = None

    @property
    def _acting(self) -> TrackSession:
        """Return who follows the targets of this lane now: another session may have taken them over."""
        return self if self._heir is None else self._heir._acting

    @contextmanager
    def _in_turn(self) -> Iterator[TrackSession]:
        """Take the turn of who follows the targets of this lane now, and keep it from being handed on meanwhile."""
        while True:
            acting = self._acting
            with acting._turn:
                if acting._heir is None:
                    yield acting
                    return

    def lane(self, number: int) -> TrackSession:
        """Return the session for another source: the same engines, targets of its own. This one is number 0.

        In a pipeline each source's number is its place in the list. Closing one closes all.
        """
        if not isinstance(number, Integral) or isinstance(number, bool) or number < 0:
            raise UsageError(f"A lane is the number of a source, 0 or more, not {number!r}. Type: tracker.lane(1)")
        with self._making:
            if number not in self._lanes:
                made = copy.copy(self)
                made._forget()
                self._lanes[number] = made
            return self._lanes[number]

    @property
    def ids(self) -> tuple[int, ...]:
        """The targets that are followed, in the order in which they were started."""
        return tuple(self._acting._targets)

    def start(
        self, picture: Frame | Any, box_xyxy: Sequence[float], id: int | None = None, *, color: str | None = None
    ) -> Track:
        """Follow what is in a box of this frame: left, top, right, bottom in pixels. An ``id`` in use is replaced."""
        frame = frame_of(picture, color)
        box_xywh = box_of(box_xyxy)
        began = time.perf_counter_ns()
        with self._in_turn() as acting:
            target = Target(acting._open(), frame, box_xywh)
            key = max(acting._targets, default=0) + 1 if id is None else id
            acting._targets[key] = target
            acting._cuts.see(frame)
        return acting._track(key, Step(target.box_xywh, 1.0, "tracking"), frame, _since(began))

    def start_at(
        self, picture: Frame | Any, point_xy: tuple[float, float], id: int | None = None, *, color: str | None = None
    ) -> Track:
        """Follow what is at this point of the frame. The box around it is a guess by its colours (``pointing.py``)."""
        frame = frame_of(picture, color)
        x, y, w, h = box_at(frame, point_xy)
        return self.start(frame, (x, y, x + w, y + h), id)

    def start_next(self, place: Place) -> None:
        """Follow what is in this box of the next frame that comes; its answer there is that box."""
        checked_place(place)
        with self._in_turn() as acting:
            acting._waiting.append(place)

    def __call__(self, picture: Frame | Any, *, color: str | None = None) -> Tracks:
        """Find every target in the next frame; the answers are in the order in which they were started."""
        frame = frame_of(picture, color)
        with self._turn:
            self._open()
            cut = self._cuts.see(frame)
            found = [self._stepped(*item, frame, cut) for item in self._targets.items()]
            places, self._waiting = self._waiting, []
        found += [self.start(frame, place(frame) if callable(place) else place) for place in places]
        return Tracks(found, frame)

    def stop(self, id: int) -> None:
        """Follow this target no longer."""
        with self._in_turn() as acting:
            if id not in acting._targets:
                known = ", ".join(map(str, acting._targets))
                others = f"followed are: {known}. Type one of these" if known else "none is followed"
                raise UsageError(f"No target has the id {id}; {others}.")
            del acting._targets[id]

    def stream(
        self,
        source: Frames,
        box_xyxy: Sequence[float] | None = None,
        *,
        color: str | None = None,
        policy: str | None = None,
    ) -> Iterator[Tracks]:
        """Answer for the frames of a source (a URI, a Source, or any frames): of a live one for the newest.

        With ``box_xyxy`` the first frame starts a target, and its answer is that box; without it, what was started
        before is followed. ``policy`` is as in ``Session.stream``.
        """
        return self._followed(super().stream(source, color=color, policy=policy), _checked(box_xyxy))

    def _followed(self, answers: Iterator[Tracks], box_xyxy: Place | None) -> Iterator[Tracks]:
        with self._beginning(box_xyxy):
            yield from answers

    def stream_async(
        self, source: Frames, box_xyxy: Sequence[float] | None = None, **choices: Any
    ) -> AsyncGenerator[Tracks, None]:
        """Answer in a coroutine, as ``Session.stream_async`` does; ``box_xyxy`` is as in ``stream``."""
        return self._followed_async(super().stream_async(source, **choices), _checked(box_xyxy))

    async def _followed_async(
        self, begun: AsyncGenerator[Tracks, None], box_xyxy: Place | None
    ) -> AsyncGenerator[Tracks, None]:
        with self._beginning(box_xyxy):
            async with aclosing(begun) as answers:
                async for tracks in answers:
                    yield tracks

    def run(
        self,
        source: Frames,
        on_result: Callable[[Tracks], object] | None = None,
        *,
        box_xyxy: Sequence[float] | None = None,
        **choices: Any,
    ) -> LedgerReport:
        """Call a function with each answer, as ``Session.run`` does; ``box_xyxy`` is as in ``stream``."""
        with self._beginning(_checked(box_xyxy)):
            return super().run(source, on_result, **choices)

    @contextmanager
    def _beginning(self, box_xyxy: Place | None) -> Iterator[None]:
        """Let the first frame start a target, if one is named; a frame that never comes starts none."""
        if box_xyxy is not None:
            self.start_next(box_xyxy)
        elif not self._targets and not self._waiting:
            raise UsageError(
                "There is nothing to follow. Type: session.stream(source, box_xyxy=(left, top, right, bottom)), and so "
                "with the other loops"
            )
        try:
            yield
        finally:
            self._waiting.clear()

    def starting(self, *places: Place) -> TrackSession:
        """Let the first frame of each source, in their order, start a target in its box; return this session."""
        for number, place in enumerate(tuple(map(checked_place, places))):
            self.lane(number).start_next(place)
        return self

    def take_over(self, before: Any, lane: int) -> None:
        """Follow what another session follows in a source, from where it was last seen without doubt, by the same ids.

        A target that this session followed before the other one is known again by what was learnt of it then. Until
        it takes them back, the other one hands on whatever it is told about its targets.
        """
        before = getattr(before, "session", before)
        if not isinstance(before, TrackSession):
            raise UsageError("A tracker can stand in for another tracker only. Name a tracker's session as fallback.")
        old, mine = before.lane(lane), self.lane(lane)
        if old is mine:
            return
        with old._turn, mine._turn:  # both, so that nobody tells either of them anything in between
            net, known = mine._open(), mine._targets
            old._heir, mine._heir = mine, None
            mine._targets, mine._waiting, mine._cuts = {}, old._waiting, copy.copy(old._cuts)
            old._waiting = []
            for key, target in old._targets.items():
                again = known.get(key)
                if again is not None and again.origin is target.origin:
                    again.resume(*target.seen)
                    mine._targets[key] = again
                else:
                    mine._targets[key] = Target(net, *target.seen, target.origin)

    def stages(self) -> tuple[Stage, ...]:
        """Answer in one stage: where frame n + 1 is cut depends on the answer to frame n. Each source has its lane."""
        return (Stage("answer", self._answered),)

    def _answered(self, job: Job) -> Tracks:
        return self.lane(job.lane)(job.frame)

    def warmup(self, count: int = 3) -> None:
        """Run on grey pictures, so that the first real frame is not the slow one. No target is touched."""
        grey = Frame(np.full((64, 64, 3), 128, np.uint8), "rgb", time.monotonic_ns())
        with self._turn:
            target = Target(self._open(), grey, (16, 16, 32, 32))
            for _ in range(count):
                target.step(grey)

    def _stepped(self, key: int, target: Target, frame: Frame, cut: bool) -> Track:
        began = time.perf_counter_ns()
        step = target.step(frame, cut=cut)
        return self._track(key, step, frame, _since(began))

    def _track(self, key: int, step: Step, frame: Frame, speed: Speed) -> Track:
        x, y, w, h = step.box_xywh
        box = np.array([x, y, x + w, y + h], np.float32)
        return Track(box, step.score, step.state, key, frame, speed, trained=self.manifest.trained)


def _checked(box_xyxy: Place | None) -> Place | None:
    """Return the box of a loop's first frame, or raise at once if it can be none."""
    return None if box_xyxy is None else checked_place(box_xyxy)


def _since(began_ns: int) -> Speed:
    return Speed(0.0, (time.perf_counter_ns() - began_ns) / 1e6, 0.0)
