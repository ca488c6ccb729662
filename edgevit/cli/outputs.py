"""Read what a verb shall write: the outputs that were typed, and the window of ``--show``. No verb.

A pattern without quotes is opened by the shell: its first file becomes the input, and the others would be outputs, over
which the first one's picture would be written. Nothing that looks like that is written over.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from ..registry import door

WINDOW = "window://"

_INTERRUPTED = 130
_BROKEN_PIPE = 141  # as a shell reports it: 128 + SIGPIPE


def add_window(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument("--show", action="store_true", help=f"show it in a window; q ends it (the output {WINDOW})")


def outputs_of(args: argparse.Namespace, typed_input: str) -> list[str]:
    """Return the outputs, the window among them where it was asked for; asked for twice it is one."""
    refuse_an_opened_pattern(typed_input, args.outputs)
    shown = args.show and WINDOW not in args.outputs
    return [*args.outputs, *([WINDOW] if shown else [])]


def code_of(stopped: str) -> int:
    """Return the exit code for what ended a run. Who closes the window ends it in order; who stops reading does not."""
    if stopped == "interrupted":
        return _INTERRUPTED
    return _BROKEN_PIPE if stopped == door("edgevit.runtime.sinks:READER_GONE") else 0


def refuse_an_opened_pattern(typed_input: str, outputs: list[str]) -> None:
    """Raise if outputs seem to be inputs: pictures or videos that are there already, several, or one beside the input.

    One video is let through: it is what the same line typed again writes anew.
    """
    path = Path(typed_input)
    if not path.is_file():
        return
    kind_of = door("edgevit.runtime.sinks.opening:kind_of")
    there = {word: kind_of(word) for word in outputs if Path(word).is_file() and not path.samefile(word)}
    more = [word for word, kind in there.items() if kind in ("picture", "video")]
    beside = [word for word in more if there[word] == "picture" and Path(word).parent == path.parent]
    if beside or len(more) > 1:
        pattern = path.parent / f"*{path.suffix}"
        raise UsageError(
            f"{(beside or more)[0]} is there already and would be written over. If it is one more input, type the "
            f"pattern in quotes, else the shell opens it: '{pattern}'. If it is an old output, delete it first."
        )
