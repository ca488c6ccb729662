"""Read the options by which a live verb listens: ``--serve``, ``--metrics``, and what goes with them. No verb."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from ..errors import UsageError
from ..registry import door
from . import console


def add_page_options(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument("--serve", metavar="[HOST:]PORT", help="show it on a page; to this machine alone without HOST")
    parser.add_argument("--metrics", metavar="[HOST:]PORT", help="tell the ledger to Prometheus there, at /metrics")
    parser.add_argument("--record-dir", metavar="DIR", help="where the page's recordings go (default: recordings)")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a further name of this machine"
    )
    parser.add_argument("--once", action="store_true", help="with --serve: end with a file's end, do not play it again")


def serving_of(args: argparse.Namespace) -> Any:
    """Take the port of ``--serve``, or return None; the other options need it."""
    if args.serve is not None and args.metrics is not None:
        _refuse_one_port(args.serve, args.metrics)
    if args.serve is None:
        refuse_page_options(args)
        return None
    folder = {} if args.record_dir is None else {"record_dir": args.record_dir}
    return door("edgevit.apps.viewer.serving:Serving")(args.serve, hosts=args.allow_host, say=console.note, **folder)


def metrics_of(args: argparse.Namespace) -> Any:
    """Take the port of ``--metrics``, or return None."""
    if args.metrics is None:
        return None
    return door("edgevit.apps.metrics:Metrics")(args.metrics, hosts=args.allow_host, say=console.note)


def _refuse_one_port(page: str, figures: str) -> None:
    """Say so where both were given the same: the second would hear that another program has taken it."""
    first, second = map(door("edgevit.apps.web.address:parse_address"), (page, figures))
    if first.same_port(second):
        other = replace(second, port=9464 if first.port != 9464 else 9465)
        raise UsageError(
            f"--serve {page} and --metrics {figures} are one port; each needs its own. Type: --metrics {other}"
        )


def refuse_page_options(args: argparse.Namespace) -> None:
    """Say so where they stand without a page; figures have names of the machine too."""
    for name in ("record_dir", "once", *(("allow_host",) if args.metrics is None else ())):
        if getattr(args, name):
            raise UsageError(f"--{name.replace('_', '-')} is for a page. Type: --serve 8080")
