"""Draw steps on a terminal with rich: a spinner or a bar with the elapsed time, one line a step."""

from __future__ import annotations

from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from ..progress import Step


class LiveSteps:
    """Keep one line a step; finished lines stay.

    The bar is redrawn by rich's own thread, so a converter that runs for a minute still shows a moving clock.
    """

    def __init__(self, stream: TextIO) -> None:
        self._bars = Progress(
            SpinnerColumn(finished_text="[green]✓[/green]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[detail]}[/dim]"),
            console=Console(file=stream),
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> LiveSteps:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def show(self, step: Step) -> None:
        """Begin, move or finish the line of one step."""
        if step.name not in self._tasks:
            self._tasks[step.name] = self._bars.add_task(
                escape(step.name), total=step.total, detail=escape(step.detail)
            )
        task = self._tasks[step.name]
        self._bars.update(task, completed=step.done, total=step.total, detail=escape(step.detail))
        if step.seconds is not None:
            total = step.total or 1
            self._bars.update(task, completed=total, total=total)
            self._bars.stop_task(task)
            del self._tasks[step.name]
