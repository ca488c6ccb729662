"""Read ``--show``: a window for what is answered, as one more output. No verb."""

from __future__ import annotations

import argparse

WINDOW = "window://"


def add_window(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument("--show", action="store_true", help=f"show it in a window; q ends it (the output {WINDOW})")


def outputs_of(args: argparse.Namespace) -> list[str]:
    """Return the outputs, the window among them where it was asked for; asked for twice it is one."""
    shown = args.show and WINDOW not in args.outputs
    return [*args.outputs, *([WINDOW] if shown else [])]
