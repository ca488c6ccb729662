"""Read the options of the page, which live verbs share: ``--serve``, and what goes with it. No verb."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import UsageError
from ..registry import door
from . import console


def add_page_options(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("--serve", metavar="[HOST:]PORT", help="show it on a page; to this machine alone without HOST")
    parser.add_argument("--record-dir", metavar="DIR", help="where the page's recordings go (default: recordings)")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a further name of this machine"
    )
    parser.add_argument("--once", action="store_true", help="with --serve: end with a file's end, do not play it again")


def serving_of(args: argparse.Namespace) -> Any:
    """Take the port of ``--serve``, or return None; the other options need it."""
    if args.serve is None:
        refuse_page_options(args)
        return None
    folder = {} if args.record_dir is None else {"record_dir": args.record_dir}
    return door("edgevit.apps.viewer.serving:Serving")(args.serve, hosts=args.allow_host, say=console.note, **folder)


def refuse_page_options(args: argparse.Namespace) -> None:
    """Say so where they stand without a page."""
    for name in ("record_dir", "allow_host", "once"):
        if getattr(args, name):
            raise UsageError(f"--{name.replace('_', '-')} is for a page. Type: --serve 8080")
