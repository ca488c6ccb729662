"""Train ``shvit_shapes`` on hard renders of "shapes-10": ``python -m edgevit.training.shapes --out DIR``.

DIR receives ``shvit_shapes.safetensors`` and its card ``shvit_shapes.json``; ``checkpoint.pt`` lies there until both
are written, and ``--resume`` goes on from it.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

from edgevit.errors import EdgevitError
from edgevit.models.shapes import ARCHITECTURE, IMAGE, NAME, SPEC, STEM_STRIDE, build, load
from edgevit.scenes.shapes import HARD, LABELS, PLAIN, SPLITS, TEST_SEED, TRAIN_SEED, VALIDATION_SEED, Grade

from .card import accuracy_table, machine_kind, predict, write_card, write_weights
from .recipe import Clock, Recipe, Run, learn
from .renders import render_many

_VALIDATION_COUNT = 1000
_TEST_COUNTS = (2_000, 10_000)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    arguments = _parser().parse_args(argv)
    words = list(sys.argv[1:] if argv is None else argv)
    names = {field.name for field in dataclasses.fields(Recipe)}
    try:
        recipe = Recipe(**{key: value for key, value in vars(arguments).items() if key in names})
        card = train(recipe, Path(arguments.out), resume=arguments.resume, words=words)
    except EdgevitError as exc:
        print(f"edgevit.training.shapes: {exc}", file=sys.stderr)
        return exc.exit_code
    print(f"{NAME}: {card['accuracy'][f'test_{_TEST_COUNTS[-1]}']:.2%} on held-out renders, {card['bytes']:,} bytes")
    return 0


def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    words: Sequence[str] = (),
    test_counts: tuple[int, ...] = _TEST_COUNTS,
) -> dict[str, Any]:
    """Render, learn, round, measure, write; return the card."""
    torch.set_num_threads(1)  # copies of the net share the cores, see replicas.py
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    run = Run.begin(build, recipe, Clock())
    if resume and checkpoint.is_file():
        run.restore(checkpoint, recipe)
        _say(run, "resumed")
    pictures, labels = _rendered(recipe.images, TRAIN_SEED, recipe, HARD)
    held, held_labels = _rendered(min(_VALIDATION_COUNT, recipe.images), VALIDATION_SEED, recipe, PLAIN)
    _say(run, f"rendered {len(labels):,} pictures")

    def report(now: Run, loss: float) -> None:
        right = predict(now.averaged, held, IMAGE.mean, IMAGE.std) == held_labels
        _say(now, f"loss {loss:.3f}, validation {float(right.float().mean()):.2%}")

    learn(run, recipe, pictures, labels, IMAGE.mean, IMAGE.std, report, checkpoint)
    _say(run, "learnt")
    # What the figures are to be is read off the clock now: measuring is not training.
    spent = {"steps": run.step, "wall_s": round(run.clock.wall_s), "cpu_s": round(run.clock.cpu_s)}
    weights = out / f"{NAME}.safetensors"
    sha256, size = write_weights(run.averaged.module, weights)
    card: dict[str, Any] = {
        "name": NAME,
        "file": weights.name,
        "sha256": sha256,
        "bytes": size,
        "parameters": sum(p.numel() for p in run.net.parameters()),
        "labels": list(LABELS),
        "licence": "Apache-2.0",
        "measure": "top-1",
        "accuracy": measured(weights, recipe, test_counts),
        "accuracy_note": "Top-1 on the first pictures of the test split, of the weights after rounding to fp16, "
        "computed in fp32. Pictures are plain; test_hard is on the hard ones that training is made of.",
        "architecture": {"class": "timm.models.shvit.SHViT", **ARCHITECTURE, "stem_stride": STEM_STRIDE},
        "spec": SPEC.to_dict(),
        "dataset": _dataset(recipe),
        "training": {
            "command": shlex.join(["python", "-m", "edgevit.training.shapes", *words]),
            "recipe": dataclasses.asdict(recipe),
            **spent,
            "machine": machine_kind(recipe.device),
            "versions": {"torch": torch.__version__, "timm": timm.__version__, "numpy": np.__version__},
        },
    }
    write_card(out / f"{NAME}.json", card)
    checkpoint.unlink(missing_ok=True)
    return card


def measured(weights: Path, recipe: Recipe, counts: tuple[int, ...]) -> dict[str, Any]:
    """Return the accuracy of written weights on held-out renders, plain ones in detail and hard ones as one figure."""
    net = load(weights)
    pictures, labels = _rendered(max(counts), TEST_SEED, recipe, PLAIN)
    table = accuracy_table(predict(net, pictures, IMAGE.mean, IMAGE.std), labels, LABELS, counts)
    pictures, labels = _rendered(min(counts), TEST_SEED, recipe, HARD)
    right = predict(net, pictures, IMAGE.mean, IMAGE.std) == labels
    return {**table, f"test_hard_{min(counts)}": round(float(right.float().mean()), 5)}


def _rendered(count: int, seed: int, recipe: Recipe, grade: Grade) -> tuple[torch.Tensor, torch.Tensor]:
    pictures, labels = render_many(count, seed=seed, workers=recipe.threads, grade=grade)
    return torch.from_numpy(pictures), torch.from_numpy(labels)


def _dataset(recipe: Recipe) -> dict[str, Any]:
    return {
        "name": "shapes-10",
        "renderer": "edgevit.scenes.shapes.render",
        "grades": {"train": dataclasses.asdict(HARD), "test": dataclasses.asdict(PLAIN)},
        "size": IMAGE.size_hw[0],
        "label": "index % 10",
        "seeds": dict(SPLITS),
        "train_indices": f"0..{recipe.images - 1}",
        "third_party_data": "none",
    }


def _say(run: Run, text: str) -> None:
    print(f"{run.clock.wall_s:6.0f} s  step {run.step:6d}  {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edgevit.training.shapes", description=__doc__)
    parser.add_argument("--out", required=True, help="folder for the weights, the card and the checkpoint")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder")
    defaults = Recipe()
    for name, text in {
        "minutes": "length of the run",
        "steps": "length of the run in steps; exact and repeatable, 0 means by --minutes",
        "clock": "what --minutes counts: wall, or cpu (CPU time over threads, for a machine that others use)",
        "threads": "threads, and processes that render",
        "images": "training renders held in memory, 28 kB each",
        "batch": "pictures a step",
        "rate": "highest learning rate",
        "seed": "of the weights and of the order of pictures",
        "device": "cpu, or cuda",
    }.items():
        default = getattr(defaults, name)
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"{text} (default {default})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
