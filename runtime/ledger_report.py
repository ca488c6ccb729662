"""Show a ledger: as data, as the rows of the final table, and as one line while it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .ages import Spread
from .ladder import Switch


@dataclass(frozen=True)
class SourceReport:
    """Tell what became of one source's frames. ``fps`` counts answers, from the first to the last."""

    name: str
    captured: int
    answered: int
    dropped: int
    late: int
    disordered: int
    reconnects: int
    fps: float


@dataclass(frozen=True)
class StageReport:
    """Tell how old frames were when they left a stage, and how long they were in it. ``missed``: by a slow sink."""

    name: str
    age: Spread | None
    spent: Spread | None
    missed: int = 0


@dataclass(frozen=True)
class LedgerReport:
    """Hold one run. ``answer`` is the stage after which an answer stands; the stages behind it are sinks.

    Where several models stood by, ``models`` says how many answers each gave, ``switches`` when and why it changed.
    """

    seconds: float
    sources: tuple[SourceReport, ...]
    stages: tuple[StageReport, ...]
    answer: str
    events: tuple[str, ...] = ()
    stopped: str = ""
    models: tuple[tuple[str, int], ...] = ()
    switches: tuple[Switch, ...] = ()

    @property
    def answered(self) -> int:
        """How many answers there were, all sources together."""
        return sum(source.answered for source in self.sources)

    @property
    def age(self) -> Spread | None:
        """How old frames were when their answer stood."""
        return next(stage.age for stage in self.stages if stage.name == self.answer)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data in which what did not happen is absent."""
        sources = [{**asdict(source), "fps": round(source.fps, 2)} for source in self.sources]
        stages = {}
        for stage in self.stages:
            told: dict[str, Any] = {}
            for name, spread in (("age", stage.age), ("spent", stage.spent)):
                if spread is not None:
                    told[name] = spread.to_dict()
            stages[stage.name] = {**told, "missed": stage.missed} if stage.missed else told
        told = {"seconds": round(self.seconds, 3), "sources": sources, "stages": stages, "answer": self.answer}
        told = {**told, "events": list(self.events), "stopped": self.stopped}
        if self.models:
            switches = [{**asdict(switch), "at_s": round(switch.at_s, 1)} for switch in self.switches]
            told = {**told, "models": dict(self.models), "switches": switches}
        return told

    def stage_rows(self) -> list[tuple[str, ...]]:
        """Return the rows of a table under ``STAGE_HEADS``."""
        return [
            (stage.name, *_numbers(stage.age), *_numbers(stage.spent)[:2], str(stage.missed or "-"))
            for stage in self.stages
        ]

    def source_rows(self) -> list[tuple[str, ...]]:
        """Return the rows of a table under ``SOURCE_HEADS``."""
        return [
            (
                source.name,
                *(str(n) for n in (source.captured, source.answered, source.dropped, source.late, source.reconnects)),
                f"{source.fps:.1f}",
            )
            for source in self.sources
        ]

    def line(self, fps: float) -> str:
        """Return one line for now: the pace of the last seconds, and what has added up."""
        age = self.age
        old = f"age p50 {age.p50_ms:.0f} p95 {age.p95_ms:.0f} p99 {age.p99_ms:.0f} ms" if age else "no answer yet"
        counts = {
            "dropped": sum(s.dropped for s in self.sources),
            "late": sum(s.late for s in self.sources),
            "reconnects": sum(s.reconnects for s in self.sources),
        }
        more = "".join(f", {name} {count}" for name, count in counts.items() if count)
        return f"{self.seconds:6.1f} s  {self.answered} answers, {fps:.1f} fps, {old}{more}"


STAGE_HEADS = ("after", "age p50", "p95", "p99", "takes p50", "p95", "missed")
SOURCE_HEADS = ("source", "captured", "answered", "dropped", "late", "reconnects", "fps")


def _numbers(spread: Spread | None) -> tuple[str, str, str]:
    if spread is None:
        return "-", "-", "-"
    return f"{spread.p50_ms:.1f}", f"{spread.p95_ms:.1f}", f"{spread.p99_ms:.1f}"
