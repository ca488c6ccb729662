"""Prove a bundle again: against the model where torch and weights are here, else against what was stored with it."""

from __future__ import annotations

import argparse

from ..errors import UsageError
from . import console, proof
from .bundles import find_bundle
from .parsing import assignment

HELP = """Prove a bundle again. With torch and the weights at hand it is compared with the model, without them with the
reference stored at export; the report says which. Exit code 1 when a gate fails.

  edgevit verify shvit_shapes-onnx-fp32
  edgevit verify shvit_shapes-onnx-fp32 --golden           needs neither torch nor pictures
  edgevit verify levit_128s-onnx-fp32 --images pictures/ --weights hub"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle's folder or .zip")
    parser.add_argument("--golden", action="store_true", help="only its own golden sample")
    parser.add_argument("--images", metavar="DIR", help="pictures to compare on (default: built-in renders)")
    parser.add_argument("--weights", metavar="W", help="the weights it was made of: shipped, hub, a file, a URL")
    parser.add_argument("--ignore-checksums", action="store_true", help="run a file that was changed all the same")
    parser.add_argument("--gate", type=assignment, action="append", metavar="NAME=VALUE", help="such as relative=1e-3")


def run(args: argparse.Namespace) -> int:
    """Verify, show the report, and say by the exit code whether the bundle is right."""
    if args.golden and (args.images or args.weights or args.gate):
        raise UsageError(
            "--golden uses the bundle's own sample and tolerance; leave --images, --weights and --gate out."
        )
    from .. import verify

    path = find_bundle(args.bundle)
    with console.progress() as progress:
        report = verify(
            path,
            images=args.images,
            golden=args.golden,
            weights=args.weights,
            gates=dict(args.gate) if args.gate else None,
            ignore_checksums=args.ignore_checksums,
            progress=progress,
        )
    if args.json:
        console.answer(report.to_dict())
    else:
        console.say(f"{path}: {'proven' if report.passed else 'FAILED'}, compared with {report.compared_with}\n")
        proof.show(report.to_dict())
    if not report.passed:
        console.note(f"edgevit: {path} falls short: {'; '.join(report.failures())}.")
    return 0 if report.passed else 1
