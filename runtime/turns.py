"""Let parcels of frames through a stage one at a time, in their order, and spare whoever works there a waking.

Who leaves a stage while the next parcel waits before it takes that one and stays; the thread that brought it goes on
with what was done. So the slowest stage goes from parcel to parcel on one thread, which nobody has to wake.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from .handover import Finished, Stopped
from .stages import Job


@dataclass(slots=True)
class Parcel:
    """Hold the frames that are answered together, and their place in the order."""

    number: int
    jobs: Sequence[Job] = ()


class _Gate:
    """Be where one thread waits, and where it finds what it is to go on with."""

    __slots__ = ("lock", "parcel")

    def __init__(self, parcel: Parcel) -> None:
        self.parcel = parcel
        self.lock = threading.Lock()
        self.lock.acquire()


class Turn:
    """Guard one stage."""

    def __init__(self) -> None:
        self._next = 0
        self._over: type[BaseException] | None = None
        self._lock = threading.Lock()
        self._gates: dict[int, _Gate] = {}

    def enter(self, parcel: Parcel) -> Parcel | None:
        """Wait for this parcel's turn. None: work on it. Another one: that is done here already, and yours is taken."""
        with self._lock:
            if self._over is not None:
                raise self._over
            if self._next == parcel.number:
                return None
            gate = self._gates[parcel.number] = _Gate(parcel)
        gate.lock.acquire()
        if gate.parcel is parcel:
            raise self._over or Stopped
        return gate.parcel

    def leave(self, parcel: Parcel) -> Parcel | None:
        """Say that a parcel is done here. None: go on with it. Another one: it is gone on, work on this one now."""
        with self._lock:
            self._next += 1
            gate = self._gates.pop(self._next, None)
        if gate is None:
            return None
        waited, gate.parcel = gate.parcel, parcel
        gate.lock.release()
        return waited

    def finish(self) -> None:
        """Say that nothing comes after the parcel that is in here: all who wait, and who come, get ``Finished``."""
        self._end(Finished)

    def stop(self) -> None:
        """Let nobody in any more; who waits gets ``Stopped``."""
        self._end(Stopped)

    def _end(self, kind: type[BaseException]) -> None:
        with self._lock:
            self._over = kind
            gates, self._gates = self._gates, {}
        for gate in gates.values():
            gate.lock.release()
