"""Tables and progress: rich where someone watches, plain aligned text where nobody does."""

from __future__ import annotations

import io
import os
import pty
import re
import threading

import pytest

from edgevit.cli import console
from edgevit.cli.proof import figure
from edgevit.progress import Step, step

Capture = pytest.CaptureFixture[str]


def test_plain_tables_are_aligned_and_without_trailing_blanks(capsys: Capture) -> None:
    console.table(("name", "ms"), [("a", "1.00"), ("longer [b]name[/b]", "10.00")], right="-r")
    assert capsys.readouterr().out.splitlines() == [
        "name                   ms",
        "a                    1.00",
        "longer [b]name[/b]  10.00",
    ]


def test_facts_hang_below_each_other(capsys: Capture) -> None:
    console.facts([("a", "one\ntwo"), ("long", "")])
    assert capsys.readouterr().out == "a     one\n      two\nlong\n"


def test_plain_progress_is_one_line_for_each_finished_step(capsys: Capture) -> None:
    with console.progress() as progress:
        with step(progress, "trace", "main"):
            progress(Step("trace", done=1, total=4))
        progress(Step("convert"))
    assert re.fullmatch(r"  trace {24} +\d+\.\d s  main\n", capsys.readouterr().err)


def test_a_step_that_fails_has_no_end() -> None:
    seen: list[Step] = []
    with pytest.raises(ValueError, match="x"), step(seen.append, "trace"):
        raise ValueError("x")
    assert [s.seconds for s in seen] == [None]
    with step(None, "nobody listens"):
        pass


def test_progress_survives_that_stderr_itself_is_caught(capfd: Capture) -> None:
    with console.progress() as progress:
        saved = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        progress(Step("convert", seconds=1.0))
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
    assert "convert" in capfd.readouterr().err


def on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, name: str, **environment: str
) -> tuple[io.TextIOWrapper, list[bytes]]:
    """Give a stream that is a terminal, and what was read from its other end."""
    master, slave = pty.openpty()
    stream = os.fdopen(slave, "w", encoding="utf-8")
    heard: list[bytes] = []

    def listen() -> None:
        while True:
            try:
                chunk = os.read(master, 65536)
            except OSError:
                break
            if not chunk:
                break
            heard.append(chunk)
        os.close(master)

    threading.Thread(target=listen, daemon=True).start()
    for key in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(f"sys.{name}", stream)
    return stream, heard


def finish(stream: io.TextIOWrapper, heard: list[bytes]) -> str:
    stream.flush()
    stream.close()
    for thread in threading.enumerate():
        if thread.name.endswith("(listen)"):
            thread.join(5)
    return b"".join(heard).decode("utf-8")


def test_on_a_terminal_steps_are_drawn_and_names_are_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    stream, heard = on_a_terminal(monkeypatch, "stderr")
    with console.progress() as progress:
        progress(Step("convert [red]", "an [odd] detail"))
        progress(Step("convert [red]", done=3, total=7))
        progress(Step("convert [red]", "done", seconds=2.0))
    text = finish(stream, heard)
    assert "\x1b[" in text
    assert "convert [red]" in text
    assert "done" in text


def test_on_a_terminal_tables_are_richs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    stream, heard = on_a_terminal(monkeypatch, "stdout")
    console.table(("name", "ms"), [("a[b]", "1")], right="-r")
    text = finish(stream, heard)
    assert "a[b]" in text
    assert "─" in text


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_it_is_not_wanted(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    stream, heard = on_a_terminal(monkeypatch, "stdout", **environment)
    console.table(("name",), [("a",)])
    assert finish(stream, heard).split() == ["name", "a"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (0.999_987, "1"),
        (2.35e-7, "2.35e-07"),
        (7, "7"),
        ([1, 2.5], "1, 2.5"),
        (list(range(9)), "0, 1, 2, 3 … 9 in all"),
    ],
)
def test_figures_have_the_digits_they_deserve(value: object, text: str) -> None:
    assert figure(value) == text
