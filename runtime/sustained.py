"""Compare each minute of a long run with the first: pace, ages, clocks, heat; say when the machine got slower."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from .ages import Ages, Spread
from .ledger import Ledger
from .thermals import clock_mhz, temperature_c

MINUTE_S = 60.0
_SLOWER = 0.9
"""A clock, or a pace, below this share of the first minute's counts as throttled."""


@dataclass(frozen=True)
class Minute:
    """Tell of one minute. Clock and heat are None where the machine does not tell them."""

    start_s: float
    answers: int
    fps: float
    age: Spread | None
    clock_mhz: float | None
    temperature_c: float | None
    throttled: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data in which what is unknown is absent."""
        told = {**asdict(self), "age": self.age.to_dict() if self.age else None, "fps": round(self.fps, 2)}
        return {key: value for key, value in told.items() if value not in (None, "")}

    def __str__(self) -> str:
        old = f", age p50 {self.age.p50_ms:.0f} p95 {self.age.p95_ms:.0f} ms" if self.age else ""
        clock = f", {self.clock_mhz:.0f} MHz" if self.clock_mhz is not None else ""
        heat = f", {self.temperature_c:.0f} °C" if self.temperature_c is not None else ""
        slow = f"; {self.throttled}" if self.throttled else ""
        return f"{self.start_s / 60:5.1f} min  {self.fps:.1f} fps{old}{clock}{heat}{slow}"


class Sustained:
    """Cut the run into minutes. Who looks often enough gets each of them once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._start_s = self._began_s = time.monotonic()
        self._answers, self._ages = 0, Ages()
        self._first: Minute | None = None
        self._told = False

    def look(self, *, last: bool = False) -> Minute | None:
        """Return the minute that has just ended; with ``last`` also one that is not full, if it has an answer."""
        now_s = time.monotonic()
        length_s = now_s - self._start_s
        if length_s < MINUTE_S and not last:
            return None
        total, ages = self._ledger.answers()
        answers, age = total - self._answers, ages.since(self._ages).spread()
        if last and not answers:
            return None
        minute = Minute(
            self._start_s - self._began_s, answers, answers / max(length_s, 1e-9), age, clock_mhz(), temperature_c()
        )
        minute = Minute(**{**minute.__dict__, "throttled": "" if last else self._throttled(minute)})
        self._first = self._first or minute
        self._start_s, self._answers, self._ages = now_s, total, ages
        return minute

    def _throttled(self, minute: Minute) -> str:
        """Say once that the machine has become slower than it was in the first minute."""
        first = self._first
        if first is None or self._told:
            return ""
        if first.clock_mhz and minute.clock_mhz and minute.clock_mhz < _SLOWER * first.clock_mhz:
            words = f"throttling began: the clock was {first.clock_mhz:.0f} MHz in the first minute"
        elif minute.fps < _SLOWER * first.fps:
            words = f"slower than the first minute's {first.fps:.1f} fps"
        else:
            return ""
        self._told = True
        return words
