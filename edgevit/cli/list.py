"""List the models: bare names, their families, what ships with this install, and what is proven. Needs no torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ..errors import UnknownNameError
from ..formats import FORMATS, PRECISIONS, find_format
from ..proven import Cell, Proven, load, share
from ..registry import TASK_OF_FAMILY, family_of, list_models, unknown_name
from . import console
from .bundles import size_text

Facts = dict[str, Any]
_OF_TASK = {"classify": "from the hub", "track": "from a file"}

HELP = """List the models that can be exported.

  edgevit list                  all bare names
  edgevit list levit            those with 'levit' in their name or family
  edgevit list --task classify  those of one task
  edgevit list --format coreml  what is proven of them in one format, and how fast

Every other timm classifier is spelled timm/NAME, for example timm/resnet18."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("text", nargs="?", default="", metavar="TEXT", help="part of a name or of a family")
    parser.add_argument("--task", metavar="T", help="only models of this task")
    parser.add_argument("--format", metavar="F", help="what is proven in this format, and how fast")


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    wanted = find_format(args.format).name if args.format else None
    proven = load()
    names = matching(args.text.lower(), _names(args.task, proven, wanted))
    if not names:
        raise _nothing(args.text, args.task)
    models = [_facts(name, proven) for name in names]
    models = [m for m in models if wanted is None or wanted in _formats(m) or _cells(m, wanted)]
    if args.json:
        told = [{**m, "proven": [c.to_dict() for c in _cells(m, wanted)]} for m in models]
        console.answer({"models": told, "formats": list(FORMATS), "machine": proven.machine, "made": proven.made})
        return 0
    if wanted is None:
        _show(models)
    else:
        _show_format(models, wanted, proven)
    console.say("Type: edgevit info MODEL for its facts, edgevit export MODEL --format onnx for a proven bundle.")
    return 0


def _names(task: str | None, proven: Proven, wanted: str | None) -> Sequence[str]:
    """Return the bare names, and those of timm's that are proven in the format that is asked for."""
    names = list_models(task)
    if wanted is None or task not in (None, "classify"):
        return names
    return tuple(dict.fromkeys([*names, *(cell.model for cell in proven.select(format=wanted))]))


def _show(models: Sequence[Facts]) -> None:
    rows = [(str(m["name"]), str(m["family"]), str(m["task"]), *_shipped_columns(m), _reached(m)) for m in models]
    console.table(("model", "family", "task", "weights", "ready bundle", "proven in"), rows)
    console.say()
    console.say(f"Formats: {', '.join(FORMATS)}. Every other timm classifier: timm/NAME, for example timm/resnet18.")


def _reached(model: Facts) -> str:
    """Name the formats that the model is proven in, as fp32 or fp16."""
    formats = [name for name in FORMATS if share(_cells(model, name))[0]]
    return "every format" if len(formats) == len(FORMATS) else ", ".join(formats) or "-"


def _show_format(models: Sequence[Facts], wanted: str, proven: Proven) -> None:
    title = FORMATS[wanted].title
    if not models:
        console.say(f"No model is proven in {title} yet, and none ships with a ready bundle.")
        return
    known = [p for p in PRECISIONS if any(c.precision == p for m in models for c in _cells(m, wanted))]
    rows = []
    for model in models:
        of = {cell.precision: cell for cell in _cells(model, wanted)}
        bundle = "yes" if wanted in _formats(model) else "-"
        rows.append((str(model["name"]), *(_in_words(of.get(p)) for p in known), bundle))
    console.table(("model", *known, "ready bundle"), rows)
    console.say()
    cells = [cell for model in models for cell in _cells(model, wanted)]
    for cell in cells:
        if cell.verdict not in ("proven", "runs"):
            console.say(f"{cell.model} {cell.precision}: {cell.verdict}, {cell.reason or 'no reason is known'}")
    if cells:
        console.say(f"{'{} of {}'.format(*share(cells))} fp32 and fp16 files are proven in {title} ({_how(cells)}).")
        console.say(f"Times: one thread of {proven.origins(cells)}; edgevit bench BUNDLE measures yours.")


def _in_words(cell: Cell | None) -> str:
    """Say how one cell fared: its time where it could be timed, its size."""
    if cell is None:
        return "-"
    if cell.verdict not in ("proven", "runs"):
        return cell.verdict
    time = f"{cell.latency_ms:.3g} ms" if cell.latency_ms is not None else None
    size = size_text(cell.size_bytes) if cell.size_bytes is not None else None
    return ", ".join(text for text in (cell.verdict, time, size) if text)


def _how(cells: Sequence[Cell]) -> str:
    """Say how far a proof goes: by the format's own engine, or by another that read the same file."""
    found = dict.fromkeys(f"{c.proof}; {c.stand_in}" if c.stand_in else c.proof for c in cells if c.proof)
    return ", ".join(str(text) for text in found) or "none ran"


def matching(text: str, names: Sequence[str]) -> list[str]:
    """Return the names that begin with the text, else those that hold it: ``levit`` does not mean ``mobilevit``."""
    return [n for n in names if n.startswith(text)] or [n for n in names if text in n or text in family_of(n)]


def _facts(name: str, proven: Proven) -> Facts:
    from ..weights import bundle_path, shipped

    family = family_of(name)
    card = shipped().get(name)
    bundle = bundle_path(name) if card else None
    return {
        "name": name,
        "family": family,
        "task": TASK_OF_FAMILY.get(family, "classify"),
        "shipped_weights": card is not None,
        "accuracy": card.accuracy if card else None,
        "measure": card.measure if card else None,
        "told": card.told if card else None,
        "bundles": {_format_of(bundle.name, name): str(bundle)} if bundle else {},
        "proven": proven.select(models=[name]),
    }


def _format_of(bundle_name: str, model: str) -> str:
    return bundle_name.removeprefix(f"{model}-").split("-")[0]


def _formats(model: Facts) -> list[str]:
    return list(model["bundles"])


def _cells(model: Facts, wanted: str | None) -> list[Cell]:
    return [cell for cell in model["proven"] if wanted in (None, cell.format)]


def _shipped_columns(model: Facts) -> tuple[str, str]:
    weights = f"shipped, {model['told']}" if model["shipped_weights"] else _OF_TASK[model["task"]]
    return weights, ", ".join(_formats(model)) or "-"


def _nothing(text: str, task: str | None) -> UnknownNameError:
    fault = unknown_name("model", text, list_models(task), ask="edgevit list")
    return UnknownNameError(f"{fault}; other timm classifiers are spelled timm/NAME.")
