"""Export a model: read the options, hand them to the one recipe, show its proof and what to type next."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..formats import FORMATS, PRECISIONS, find_format
from ..registry import door, unknown_name
from . import console, proof
from .bundles import size_text
from .parsing import assignment, number, size_hw, whole

if TYPE_CHECKING:
    from ..bundle import Bundle

HELP = """Turn a model into a bundle, and prove the bundle: the file is run and compared with the model in torch.
Short of a gate nothing is sealed, and the exit code is 1.

  edgevit export shvit_shapes --format onnx
  edgevit export levit_128s --device pixel-8 --calib my-pictures/
  edgevit export timm/resnet18 --weights best.pth --num-classes 7 --labels labels.txt --format openvino --int8"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("model", metavar="MODEL", help="a name of 'edgevit list', or timm/NAME")
    target = parser.add_argument_group("where it shall run (an explicit format or precision wins over the device's)")
    target.add_argument("--format", metavar="F", help=f"{', '.join(FORMATS)}, or an alias such as tflite, ort, ov")
    target.add_argument("--device", metavar="D", help="a device of 'edgevit devices', or a TOML file of your own")
    target.add_argument("--precision", metavar="P", help=f"{', '.join(PRECISIONS)} (the last three for Core ML)")
    target.add_argument("--backend", metavar="B", help="ExecuTorch's delegate: xnnpack (default), coreml, vulkan")
    target.add_argument("--half", action="store_true", help="the same as --precision fp16")
    target.add_argument("--int8", action="store_true", help="the same as --precision int8")
    model = parser.add_argument_group("the model")
    model.add_argument("--weights", metavar="W", help="shipped, hub, a file, an https URL with #sha256=..., or random")
    model.add_argument("--num-classes", type=whole(1, 1_000_000), metavar="N", help="classes of your own weights")
    model.add_argument("--labels", metavar="FILE", help="their names, one a line")
    model.add_argument("--mean", type=number, nargs=3, metavar=("R", "G", "B"), help="of your training, in 0..1")
    model.add_argument("--std", type=number, nargs=3, metavar=("R", "G", "B"), help="of your training, in 0..1")
    model.add_argument("--seed", type=whole(0, 2**31 - 1), default=0, metavar="N", help="for --weights random")
    shape = parser.add_argument_group("the file")
    shape.add_argument("--imgsz", type=whole(1, 8192), nargs="+", metavar="N", help="input size: one number, or H W")
    shape.add_argument("--batch", type=whole(1, 1024), default=1, metavar="N", help="pictures a call (default 1)")
    shape.add_argument("--dynamic", action="store_true", help="let the batch vary, where the format can")
    shape.add_argument("--opset", type=whole(9, 99), metavar="N", help="ONNX opset")
    shape.add_argument("--uint8-input", action="store_true", help="take bytes; mean and std go into the file")
    shape.add_argument("--out", metavar="DIR", help="default: ./MODEL-FORMAT-PRECISION[-BACKEND][-DEVICE]")
    shape.add_argument("--force", action="store_true", help="replace an older bundle there")
    proving = parser.add_argument_group("calibration and proof")
    proving.add_argument("--calib", metavar="DIR", help="pictures for int8 (and for the proof, without --images)")
    proving.add_argument("--images", metavar="DIR", help="pictures for the proof (default: built-in renders)")
    proving.add_argument("--gate", type=assignment, action="append", metavar="NAME=VALUE", help="such as relative=1e-3")
    proving.add_argument("--keep", action="store_true", help="keep the files of a refused export for inspection")
    proving.add_argument("--threads", type=whole(1, 1024), metavar="N", help="threads of torch")


def run(args: argparse.Namespace) -> int:
    """Export, then say what was proven."""
    options = options_of(args)
    if args.threads:
        # torch reads it when it is loaded, and this room loads no torch itself.
        os.environ["OMP_NUM_THREADS"] = str(args.threads)
    door("edgevit.exporters.quiet:set_verbose")(args.verbose)
    from .. import export

    with console.progress() as progress:
        bundle = export(args.model, progress=progress, **options)
    _answer(bundle, args.json)
    return 0


def options_of(args: argparse.Namespace) -> dict[str, Any]:
    """Check what the options say together, before anything heavy is loaded."""
    if args.format is None and args.device is None:
        raise UsageError(
            f"Say where {args.model} shall run: --format {'|'.join(FORMATS)}, or --device NAME. Type: edgevit devices"
        )
    gates = dict(args.gate or ())
    if len(gates) < len(args.gate or ()):
        raise UsageError("A --gate was given twice. Give each gate once.")
    return {
        "format": find_format(args.format).name if args.format else None,
        "device": args.device,
        "precision": precision_of(args),
        "weights": args.weights,
        "num_classes": args.num_classes,
        "labels": args.labels,
        "mean": _unit("--mean", args.mean),
        "std": _unit("--std", args.std),
        "seed": args.seed,
        "imgsz": size_hw(args.imgsz),
        "batch": args.batch,
        "dynamic": args.dynamic,
        "opset": args.opset,
        "uint8_input": args.uint8_input,
        "backend": args.backend,
        "calib": args.calib,
        "images": args.images,
        "gates": gates or None,
        "out": args.out,
        "force": args.force,
        "keep": args.keep,
    }


def precision_of(args: argparse.Namespace) -> str | None:
    """Join the three spellings of precision; two that differ are a conflict."""
    words = (*PRECISIONS, *(word for target in FORMATS.values() for word in target.spellings))
    if args.precision is not None and args.precision not in words:
        raise unknown_name("precision", args.precision, PRECISIONS, ask=f"--precision {'|'.join(PRECISIONS)}")
    asked = {
        f"--precision {args.precision}": args.precision,
        "--half": "fp16" if args.half else None,
        "--int8": "int8" if args.int8 else None,
    }
    given = {option: precision for option, precision in asked.items() if precision}
    if len(set(given.values())) > 1:
        raise UsageError(f"{' and '.join(given)} contradict each other. Choose one: --precision {'|'.join(PRECISIONS)}")
    return next(iter(given.values()), None)


def _unit(option: str, values: list[float] | None) -> tuple[float, ...] | None:
    """Refuse means and deviations in grey levels: the bundle would be wrong without a sound."""
    if values and max(map(abs, values)) > 2:
        levels, shares = " ".join(f"{v:g}" for v in values), " ".join(f"{v / 255:.4g}" for v in values)
        raise UsageError(f"{option} is in units of 0..1, and {levels} looks like grey levels. Type: {option} {shares}")
    return tuple(values) if values else None


def _answer(bundle: Bundle, as_json: bool) -> None:
    from ..bundle import summary

    verification = bundle.manifest.verification
    if as_json:
        console.answer({**summary(bundle), "verification": dict(verification)})
        return
    m = bundle.manifest
    untrained = "" if m.trained else ", UNTRAINED weights"
    ways = {graph.proven() for graph in m.graphs.values()}
    how = "; ".join(f"{name}: {graph.proven()}" for name, graph in m.graphs.items()) if len(ways) > 1 else ways.pop()
    console.say(
        f"\nProven: {bundle.path} ({m.format} {m.precision}, {size_text(bundle.size_bytes)}{untrained}; {how})\n"
    )
    proof.show(verification)
    picture = "'synthetic://shapes?count=4'" if m.model == "shvit_shapes" else "PICTURE.jpg"
    use = f"track VIDEO --bundle {bundle.path}" if m.task == "track" else f"predict {bundle.path} {picture}"
    console.say("\nNext:")
    if m.format == "tensorrt":
        console.say(f"  edgevit build {bundle.path}      on the device")
    if all(graph.proof == "executed" for graph in m.graphs.values()):
        console.say(f"  edgevit {use}")
        if m.task == "classify":
            console.say(f"  edgevit bench {bundle.path}")
    console.say(f"  edgevit placement {bundle.path}")
    console.say(f"  edgevit verify {bundle.path}")
