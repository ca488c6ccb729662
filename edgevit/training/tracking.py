"""Train ``hit_nano`` on pairs rendered from your photographs: ``python -m edgevit.training.tracking --pictures DIR``.

The folder of ``--out`` receives ``hit_nano.safetensors`` and its card ``hit_nano.json``; ``checkpoint.pt`` lies there
until both are written, and ``--resume`` goes on from it, also after a kill. ``--validate`` names folders of real
frames with a ``groundtruth.txt``: their success AUC is printed at every checkpoint, beside that of a box that stays.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch

from edgevit.errors import EdgevitError, UsageError
from edgevit.models import create_model
from edgevit.models.hit import SIZES, build

from .card import machine_kind, write_card, write_weights
from .pair_textures import read_textures
from .run import Clock, Run
from .tracking_check import Clip, aucs, read_clip, still_aucs
from .tracking_learn import TrackingRecipe, judge, learn
from .tracking_scenes import Pairs, Scenes, Shares

NAME = "hit_nano"
_HELD_SEED = 1_000
_STOPPED = 143


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    arguments = _parser().parse_args(argv)
    names = {field.name for field in dataclasses.fields(TrackingRecipe)}
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        recipe = TrackingRecipe(**{key: value for key, value in vars(arguments).items() if key in names})
        clips = [read_clip(folder) for folder in arguments.validate]
        out = Path(arguments.out)
        card = train(
            recipe,
            arguments.folder,
            out,
            clips,
            begin=arguments.begin,
            resume=arguments.resume,
            words=told(arguments, recipe),
            stop=lambda: bool(asked),
        )
    except EdgevitError as exc:
        print(f"edgevit.training.tracking: {exc}", file=sys.stderr)
        return exc.exit_code
    finally:
        signal.signal(signal.SIGTERM, before)
    if card is None:
        print(f"stopped; --resume goes on from {out / 'checkpoint.pt'}")
        return _STOPPED
    print(f"{NAME}: IoU {card['accuracy']['held_iou']:.3f} on held-out pairs, {card['bytes']:,} bytes")
    return 0


def train(
    recipe: TrackingRecipe,
    pictures: str | Path,
    out: Path,
    clips: Sequence[Clip] = (),
    *,
    begin: str | Path | None = None,
    resume: bool = False,
    words: Sequence[str] = (),
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Read, cut, learn, round, measure, write; return the card, or None if it was stopped."""
    torch.set_num_threads(1)  # copies of the net share the cores, see replicas.py
    checkpoint = out / "checkpoint.pt"
    if not resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not an empty folder. Add --resume to go on, or name another --out.")
    textures = read_textures(pictures, limit=recipe.limit)
    learnt_from, held_from = textures.split()
    size = SIZES[NAME]
    scenes_of = partial(Scenes, template_px=size.template, search_px=size.search)
    held = scenes_of(held_from, seed=_HELD_SEED).render(0, recipe.held_pairs)
    scenes = scenes_of(learnt_from, seed=recipe.seed, device=recipe.device)
    out.mkdir(parents=True, exist_ok=True)
    run = Run.begin(partial(fresh, begin), recipe, Clock())
    if resume and checkpoint.is_file():
        run.restore(checkpoint, recipe)
    _say(
        run,
        f"{len(learnt_from)} pictures to learn from, {len(held_from)} held out; still: {_listed(still_aucs(clips))}",
    )
    began = (run.step, run.clock.wall_s)

    def report(now: Run, loss: float) -> None:
        pace = (now.step - began[0]) * recipe.batch / max(now.clock.wall_s - began[1], 1e-9)
        share = now.clock.share(recipe, now.step)
        _say(
            now,
            f"{share:4.0%}  {pace:4.0f} pairs/s  loss {loss:.3f}  {_told(now.averaged.module, held, clips, recipe)}",
        )

    finished = learn(run, recipe, scenes, report, checkpoint, stop)
    if not finished:
        return None
    spent = {"steps": run.step, "wall_s": round(run.clock.wall_s), "cpu_s": round(run.clock.cpu_s)}
    card = _written(run, recipe, out, held, clips) | {
        "dataset": {
            "pictures": len(textures),
            "held_out": len(held_from),
            "renderer": "edgevit.training.tracking_scenes",
            "shares": dataclasses.asdict(Shares()),
            "pairs": run.step * recipe.batch,
        },
        "training": {
            "command": shlex.join(["python", "-m", "edgevit.training.tracking", *words]),
            "recipe": dataclasses.asdict(recipe),
            **spent,
            "machine": machine_kind(recipe.device),
            "versions": {"torch": torch.__version__, "timm": timm.__version__},
        },
    }
    write_card(out / f"{NAME}.json", card)
    checkpoint.unlink(missing_ok=True)
    return card


def told(arguments: argparse.Namespace, recipe: TrackingRecipe) -> list[str]:
    """Return the command's options for the card; places of this machine say nothing to others."""
    words = ["--pictures", "DIR"] + (["--begin", "FILE"] if arguments.begin else [])
    for field in dataclasses.fields(TrackingRecipe):
        value = getattr(recipe, field.name)
        if value != field.default and field.name != "half":
            words += [f"--{field.name.replace('_', '-')}", str(value)]
    return words + ([] if recipe.half else ["--full"])


def fresh(begin: str | Path | None = None) -> torch.nn.Module:
    """Build the net that is to learn; ``begin`` is a safetensors file of weights to go on from."""
    net = build(NAME)
    if begin is not None:
        net.load_state_dict(create_model(NAME, begin).module.state_dict())
    return net


def _written(run: Run, recipe: TrackingRecipe, out: Path, held: Pairs, clips: Sequence[Clip]) -> dict[str, Any]:
    """Write the averaged weights, and measure them as they were rounded."""
    weights = out / f"{NAME}.safetensors"
    sha256, size = write_weights(run.averaged.module, weights)
    net = run.averaged.module
    net.load_state_dict(
        {name: t.half().float() if t.is_floating_point() else t for name, t in net.state_dict().items()}
    )
    held_iou, right = judge(net, held)
    return {
        "name": NAME,
        "file": weights.name,
        "sha256": sha256,
        "bytes": size,
        "parameters": sum(p.numel() for p in run.net.parameters()),
        "labels": [],
        "licence": "Apache-2.0",
        "accuracy": {
            "held_iou": round(held_iou, 4),
            "held_score_right": round(right, 4),
            "auc": {name: round(value, 4) for name, value in aucs(net, clips, recipe.device).items()},
            "auc_of_a_still_box": {name: round(value, 4) for name, value in still_aucs(clips).items()},
        },
    }


def _told(net: Any, held: Pairs, clips: Sequence[Clip], recipe: TrackingRecipe) -> str:
    held_iou, right = judge(net, held)
    return f"held IoU {held_iou:.3f} score {right:.0%}  AUC {_listed(aucs(net, clips, recipe.device))}"


def _listed(values: dict[str, float]) -> str:
    mean = f"  mean {sum(values.values()) / len(values):.3f}" if values else "-"
    return " ".join(f"{name} {value:.3f}" for name, value in values.items()) + mean


def _say(run: Run, text: str) -> None:
    print(f"{run.clock.wall_s:6.0f} s  step {run.step:6d}  {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edgevit.training.tracking", description=__doc__)
    parser.add_argument("--pictures", dest="folder", required=True, help="folder of photographs, some hundreds")
    parser.add_argument("--out", default="build/tracking", help="folder for weights, card and checkpoint")
    parser.add_argument("--validate", nargs="*", default=[], help="folders of frames with a groundtruth.txt")
    parser.add_argument("--begin", metavar="FILE", help="weights to go on from, a .safetensors of an earlier run")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder")
    parser.add_argument("--full", dest="half", action="store_false", help="compute in fp32, not in bfloat16")
    defaults = TrackingRecipe()
    for name, text in {
        "minutes": "length of the run",
        "steps": "length of the run in steps; exact and repeatable, 0 means by --minutes",
        "clock": "what --minutes counts: wall, or cpu (CPU time over threads, for a machine that others use)",
        "threads": "copies of the net that learn side by side, one a core",
        "batch": "pairs a step",
        "rate": "highest learning rate",
        "start": "share of the run in which the stem learns alone",
        "seed": "of the weights and of the pairs",
        "limit": "pictures to read at most, 0 for all",
        "checkpoint_s": "seconds between checkpoints, at which all is measured",
        "device": "cpu, or cuda",
    }.items():
        default = getattr(defaults, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            type=type(default),
            default=default,
            help=f"{text} (default {default})",
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
