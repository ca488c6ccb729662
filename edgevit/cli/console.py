"""Show answers and progress: with rich on a terminal, as plain aligned text everywhere else.

``say`` and ``table`` are the answer and go to stdout; ``note`` and progress go to stderr. While a machine listens
(``--json``), only ``answer`` reaches stdout: a converter that prints there would spoil the JSON.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TextIO

from ..progress import Progress, Step

_LEAST_NAME = 12
"""Characters of a column of text; what is longer goes on in the next row."""
_BETWEEN = 3
_COLUMNS = 80
"""The width where nobody knows it."""


@dataclass
class _Machine:
    stream: TextIO | None = None
    lines: bool = False


_machine = _Machine()


@contextlib.contextmanager
def answering(*, machine: bool, lines: bool = False) -> Iterator[None]:
    """Keep stdout for the answer. With ``machine``, all prints and all native output go to stderr meanwhile.

    With ``lines`` an output of its own writes to stdout, and what is said for people goes to stderr.
    """
    if not machine:
        _machine.lines = lines
        try:
            yield
        finally:
            _machine.lines = False
        return
    sys.stdout.flush()
    stdout, fd = sys.stdout, _descriptor(sys.stdout)
    saved = None if fd is None else os.dup(fd)
    _machine.stream = stdout if saved is None else os.fdopen(saved, "w", encoding="utf-8", closefd=True)
    try:
        if fd is not None and _descriptor(sys.stderr) is not None:
            os.dup2(sys.stderr.fileno(), fd)
        with contextlib.redirect_stdout(sys.stderr):
            yield
        _machine.stream.flush()
    finally:
        _restore(saved, fd)


def _restore(saved: int | None, fd: int | None) -> None:
    stream, _machine.stream = _machine.stream, None
    if saved is not None and fd is not None and stream is not None:
        _flush_native()
        os.dup2(saved, fd)
        with contextlib.suppress(BrokenPipeError):
            stream.close()


def _flush_native() -> None:
    """Empty C's own buffer of stdout: what a converter printed must not follow the answer when the process ends."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)


def _descriptor(stream: TextIO) -> int | None:
    """Return the descriptor of a real stream; a test's or a notebook's has none."""
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None


def answer(data: Any) -> None:
    """Print one JSON value, on one line, for the machine that listens."""
    print(
        json.dumps(data, ensure_ascii=False, allow_nan=False, default=str),
        file=_machine.stream or sys.stdout,
        flush=True,
    )


def machine_stream() -> TextIO:
    """Return where JSON lines go."""
    return _machine.stream or sys.stdout


def say(text: str = "") -> None:
    """Print a line of the answer."""
    print(text, file=_shown())


def _shown() -> TextIO:
    """Return where people read."""
    return sys.stderr if _machine.lines else sys.stdout


def note(text: str) -> None:
    """Print a line beside the answer."""
    print(text, file=sys.stderr)


def fancy(stream: TextIO) -> bool:
    """Tell whether colours and moving lines are welcome there."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and stream.isatty() and importlib.util.find_spec("rich") is not None


def columns_of(stream: TextIO) -> int:
    """Return the width of a stream's own terminal, ``COLUMNS`` first: shutil asks stdout, which may be a pipe."""
    typed = os.environ.get("COLUMNS", "")
    if typed.isdecimal() and int(typed):
        return int(typed)
    fd = _descriptor(stream)
    try:
        return (os.get_terminal_size(fd).columns if fd is not None else 0) or _COLUMNS
    except OSError:
        return _COLUMNS


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> None:
    """Print rows in columns. ``right`` has an ``r`` for each column that is aligned to the right, as in ``-rr-``."""
    widths = [max(len(str(row[n])) for row in [headers, *rows]) for n in range(len(headers))]
    if fancy(_shown()) and _fits(widths, right):
        _rich_table(headers, rows, right)
        return
    for row in [headers, *rows]:
        cells = (
            f"{c:>{w}}" if _is_right(right, n) else f"{c:<{w}}"
            for n, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells).rstrip(), file=_shown())


def _fits(widths: Sequence[int], right: str) -> bool:
    """Tell whether the terminal is wide enough for all numbers and for what a name needs: rich would cut them off."""
    least = (width if _is_right(right, n) else min(width, _LEAST_NAME) for n, width in enumerate(widths))
    return sum(least) + _BETWEEN * len(widths) <= columns_of(_shown())


def _is_right(right: str, column: int) -> bool:
    return right[column : column + 1] == "r"


def _rich_table(headers: Sequence[str], rows: Sequence[Sequence[str]], right: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    for n, header in enumerate(headers):
        number = _is_right(right, n)
        shown.add_column(header, justify="right" if number else "left", overflow="fold", no_wrap=number)
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))  # Text: a label such as "[b]" is no markup
    Console(file=_shown()).print(shown)


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one a line, the values below each other."""
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        first, *more = value.splitlines() or [""]
        print(f"{name:<{width}}  {first}".rstrip())
        for line in more:
            print(f"{'':<{width}}  {line}".rstrip())


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Give a callable that shows steps: a bar or spinner on a terminal, else one line for each finished step.

    It writes to its own copy of stderr's descriptor: while a converter runs, the descriptor itself is caught.
    """
    fd = _descriptor(sys.stderr)
    stream = sys.stderr if fd is None else os.fdopen(os.dup(fd), "w", encoding="utf-8", errors="replace")
    try:
        if fancy(sys.stderr):
            from .live import LiveSteps

            with LiveSteps(stream) as live:
                yield live.show
        else:
            yield partial(_plain_step, stream)
    finally:
        if stream is not sys.stderr:
            stream.close()


def _plain_step(stream: TextIO, step: Step) -> None:
    if step.seconds is not None:
        detail = f"  {step.detail}" if step.detail else ""
        print(f"  {step.name:<28} {step.seconds:6.1f} s{detail}", file=stream, flush=True)
