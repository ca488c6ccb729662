"""Show where each operator of a bundle will run, what falls back, and how that is known."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..registry import door
from . import console
from .bundles import find_bundle

if TYPE_CHECKING:
    from edgevit.exporters.placement import Placement, View

HELP = """Say where each operator of a bundle will run, and why not where it should. "executed" was seen in the engine
here or stands in the file; "rule" is read from what the vendor published, and nothing was run.

  edgevit placement shvit_shapes-litert-fp32
  edgevit placement shvit_shapes-litert-fp32 --device pixel-8 --fail-on-fallback"""

_LONGEST_NAMES = 44


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle's folder or .zip")
    parser.add_argument("--device", metavar="D", help="another device, by name or by a .toml of your own")
    parser.add_argument("--provider", metavar="P", help="ask ONNX Runtime for one of its providers, such as cuda")
    parser.add_argument("--fail-on-fallback", action="store_true", help="exit with 1 if an operator falls back")


def run(args: argparse.Namespace) -> int:
    """Print the table of each unit, and say by the exit code what falls back, if that was asked."""
    path = find_bundle(args.bundle)
    found: Placement = door("edgevit.exporters.placement:place")(path, device=args.device, provider=args.provider)
    if args.json:
        console.answer({"bundle": str(path), **found.to_dict()})
    else:
        for view in found.views:
            _show(view, several=len({v.graph for v in found.views}) > 1)
        if not found.falls_back:
            console.say("Nothing falls back.")
    if found.note:
        console.note(f"edgevit: {found.note}")
    if found.falls_back:
        console.note(f"edgevit: {path} falls back: {found.sentence()}.")
    return 1 if found.falls_back and args.fail_on_fallback else 0


def _show(view: View, *, several: bool) -> None:
    graph = f"{view.graph}, " if several else ""
    aside = "" if view.decides else ", should the app not ask for another unit"
    console.say(f"{graph}meant for {view.unit} ({view.basis}){aside}")
    console.say(f"  {', '.join(f'{where}: {count}' for where, count in view.places().items()) or 'no operators'}")
    for note in view.notes:
        console.say(f"  {note}")
    rows = [
        (
            f"! {group.kind}" if group.falls_back else f"  {group.kind}",
            str(group.count),
            group.where,
            group.basis,
            group.why,
            _cut(group.names_text()),
        )
        for group in view.groups()
    ]
    console.table(("  operator", "count", "where", "basis", "why", "the first of them"), rows, right="-r")
    console.say()


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_NAMES else f"{text[: _LONGEST_NAMES - 1]}…"
