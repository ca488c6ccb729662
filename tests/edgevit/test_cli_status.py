"""The line of now on a terminal: nothing is glued to it, it never wraps; and a narrow table loses no number."""

from __future__ import annotations

import os
import struct
import sys
import threading
from collections.abc import Callable

import pytest

from edgevit.cli import console
from edgevit.cli.status import Status


class Terminal:
    """Be both streams of a terminal, and show what a person sees: what was erased is gone."""

    encoding = "utf-8"

    def __init__(self, *, real: bool = True) -> None:
        self.lines = [""]
        self.real = real

    def write(self, text: str) -> int:
        for sign in text.replace("\r\x1b[K", "\0"):
            if sign == "\0":
                self.lines[-1] = ""
            elif sign == "\n":
                self.lines.append("")
            else:
                self.lines[-1] += sign
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return self.real


Make = Callable[..., Terminal]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return what puts a terminal in place of both streams; pytest has its own there until the test begins."""

    def make(*, real: bool = True, term: str = "xterm", columns: int = 40) -> Terminal:
        made = Terminal(real=real)
        monkeypatch.setattr(sys, "stdout", made)
        monkeypatch.setattr(sys, "stderr", made)
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", term)
        monkeypatch.setenv("COLUMNS", str(columns))
        return made

    return make


def test_what_is_said_stands_above_and_the_line_comes_back_below(opened: Make) -> None:
    terminal = opened()
    status = Status()
    status.say("before")
    status.now("1.0 s  30 answers")
    status.say("a ring")
    status.note("paused")
    assert terminal.lines == ["before", "a ring", "paused", "1.0 s  30 answers"]
    status.now("2.0 s  60 answers")
    status.end()
    console.say("the table")
    assert terminal.lines == ["before", "a ring", "paused", "2.0 s  60 answers", "the table", ""]


def test_the_line_is_cut_before_it_wraps(opened: Make) -> None:
    terminal = opened()
    status = Status()
    status.now("x" * 100)
    status.now("y" * 100)
    assert terminal.lines == ["y" * 39]


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals are of POSIX")
@pytest.mark.parametrize(("typed", "width"), [(None, 60), ("", 60), ("0", 60), ("wide", 60), ("50", 50)])
def test_the_width_is_that_of_the_terminal_where_the_line_stands(
    typed: str | None, width: int, opened: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which stderr is, and stdout may be a pipe."""
    import fcntl
    import termios

    opened(real=False)
    monkeypatch.delenv("COLUMNS")
    if typed is not None:
        monkeypatch.setenv("COLUMNS", typed)
    reader, writer = os.openpty()
    with os.fdopen(reader, "rb", buffering=0) as person, os.fdopen(writer, "w", encoding="utf-8") as terminal:
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("4H", 24, 60, 0, 0))
        monkeypatch.setattr(sys, "stderr", terminal)
        Status().now("x" * 100)
        assert person.read(1000).count(b"x") == width - 1


@pytest.mark.parametrize(("real", "term"), [(False, "xterm"), (True, "dumb")])
def test_elsewhere_no_sign_moves_and_every_tenth_line_is_written(real: bool, term: str, opened: Make) -> None:
    terminal = opened(real=real, term=term)
    status = Status()
    for number in range(21):
        status.now(f"{number}{'.' * 50}")
    status.end()
    assert terminal.lines == [*(f"{number}{'.' * 50}" for number in (0, 10, 20)), ""]


def test_a_reader_who_hangs_holds_up_no_other_line(opened: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = opened()
    came, goes_on = threading.Event(), threading.Event()

    class Stuck(Terminal):
        def write(self, text: str) -> int:
            came.set()
            goes_on.wait(30)
            return len(text)

    monkeypatch.setattr(sys, "stdout", Stuck(real=False))
    status = Status()
    speaker = threading.Thread(target=status.say, args=("a ring",))
    speaker.start()
    try:
        assert came.wait(30)
        status.now("1.0 s")
        status.note("paused")
        assert terminal.lines == ["paused", "1.0 s"]
    finally:
        goes_on.set()
        speaker.join()


ROWS = [["printing", "66.6", "78.1", "82.9", "14.2", "43.3", "-"]]
HEADS = ("after", "age p50", "p95", "p99", "takes p50", "p95", "missed")


@pytest.mark.parametrize("columns", range(10, 140, 3))
def test_a_table_shows_every_number_however_narrow_the_terminal(columns: int, opened: Make) -> None:
    pytest.importorskip("rich")
    terminal = opened(columns=columns)
    console.table(HEADS, ROWS, right="-rrrrrr")
    shown = "\n".join(terminal.lines)
    assert [word for word in [*ROWS[0], "missed"] if word not in shown] == []
