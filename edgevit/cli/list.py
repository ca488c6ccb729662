"""List the models: bare names, their families, and what ships with this install. Needs no torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..errors import UnknownNameError
from ..formats import FORMATS, find_format
from ..registry import TASK_OF_FAMILY, family_of, list_models, unknown_name
from . import console

HELP = """List the models that can be exported.

  edgevit list                  all bare names
  edgevit list levit            those with 'levit' in their name or family
  edgevit list --task classify  those of one task

Every other timm classifier is spelled timm/NAME, for example timm/resnet18."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("text", nargs="?", default="", metavar="TEXT", help="part of a name or of a family")
    parser.add_argument("--task", metavar="T", help="only models of this task")
    parser.add_argument("--format", metavar="F", help="only models that ship with a ready bundle of this format")


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    wanted = find_format(args.format).name if args.format else None
    names = matching(args.text.lower(), list_models(args.task))
    if not names:
        raise _nothing(args.text, args.task)
    models = list(map(_facts, names))
    models = [m for m in models if wanted is None or wanted in _formats(m)]
    if args.json:
        console.answer({"models": models, "formats": list(FORMATS)})
        return 0
    rows = [(str(m["name"]), str(m["family"]), str(m["task"]), *_shipped_columns(m)) for m in models]
    if rows:
        console.table(("model", "family", "task", "weights", "ready bundle"), rows)
    else:
        console.say(f"No model ships with a ready {wanted} bundle.")
    console.say()
    console.say(f"Formats: {', '.join(FORMATS)}. Every other timm classifier: timm/NAME, for example timm/resnet18.")
    console.say("Type: edgevit info MODEL for its facts, edgevit export MODEL --format onnx for a proven bundle.")
    return 0


def matching(text: str, names: Sequence[str]) -> list[str]:
    """Return the names that begin with the text, else those that hold it: ``levit`` does not mean ``mobilevit``."""
    return [n for n in names if n.startswith(text)] or [n for n in names if text in n or text in family_of(n)]


def _facts(name: str) -> dict[str, object]:
    from ..weights import bundle_path, shipped

    family = family_of(name)
    card = shipped().get(name)
    bundle = bundle_path(name) if card else None
    return {
        "name": name,
        "family": family,
        "task": TASK_OF_FAMILY[family],
        "shipped_weights": card is not None,
        "accuracy": card.accuracy if card else None,
        "bundles": {_format_of(bundle.name, name): str(bundle)} if bundle else {},
    }


def _format_of(bundle_name: str, model: str) -> str:
    return bundle_name.removeprefix(f"{model}-").split("-")[0]


def _formats(model: dict[str, object]) -> list[str]:
    bundles = model["bundles"]
    return list(bundles) if isinstance(bundles, dict) else []


def _shipped_columns(model: dict[str, object]) -> tuple[str, str]:
    weights = f"shipped, {model['accuracy']:.1%} right" if model["shipped_weights"] else "from the hub"
    return weights, ", ".join(_formats(model)) or "-"


def _nothing(text: str, task: str | None) -> UnknownNameError:
    fault = unknown_name("model", text, list_models(task), ask="edgevit list")
    return UnknownNameError(f"{fault}; other timm classifiers are spelled timm/NAME.")
