"""Build on the device what a format builds there: TensorRT's engine. Every other format needs nothing of the kind."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..registry import door
from . import console
from .bundles import find_bundle, size_text
from .parsing import whole

if TYPE_CHECKING:
    from edgevit.runtime.engines.tensorrt_build import Built

HELP = """Build the engine of a TensorRT bundle, on the device that will run it. It goes into BUNDLE.cache beside the
bundle and serves this GPU and this TensorRT; built once, it is found again. The first build takes minutes. An engine
that answers the golden sample wrongly is refused.

  edgevit build levit_128s-tensorrt-fp16-jetson-orin-nano
  edgevit build levit_128s-tensorrt-fp16 --workspace 512       on a board with little memory
  edgevit build levit_128s-tensorrt-fp16 --timing-cache ~/timings.bin      shared by several bundles"""

_BUILT = "tensorrt"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a bundle's folder or .zip")
    parser.add_argument("--workspace", type=whole(1, 1 << 20), metavar="MB", help="most memory that a layer may use")
    parser.add_argument(
        "--most-rows", type=whole(1, 1024), metavar="N", help="largest batch of a --dynamic bundle (default 8)"
    )
    parser.add_argument("--timing-cache", type=Path, metavar="FILE", help="keep what was timed in this file")
    parser.add_argument("--force", action="store_true", help="build again, whatever is there")


def run(args: argparse.Namespace) -> int:
    """Build, or say why there is nothing to build."""
    from ..bundle import open_bundle
    from ..formats import FORMATS

    bundle = open_bundle(find_bundle(args.bundle))
    name = bundle.manifest.format
    if name != _BUILT:
        title = FORMATS[name].title if name in FORMATS else name
        note = f"{bundle.path.name} is {title}: its engine opens it as it is, so there is nothing to build."
        console.answer({"built": [], "note": note}) if args.json else console.say(note)
        return 0
    options = door("edgevit.runtime.engines.tensorrt_build:BuildOptions")
    chosen = options(
        workspace_mb=args.workspace,
        timing_cache=args.timing_cache,
        force=args.force,
        most_rows=args.most_rows,
    )
    with console.progress() as progress:
        built: tuple[Built, ...] = door("edgevit.runtime.engines.tensorrt_build:build")(bundle, chosen, progress)
    if args.json:
        tell = door("edgevit.runtime.engines.tensorrt_build:summary")
        console.answer({"built": [dict(tell(one)) for one in built]})
        return 0
    for one in built:
        how = "was there already" if one.reused else f"built in {one.seconds:.0f} s"
        console.say(f"{one.path}: {size_text(one.size_bytes)} for {one.gpu} and TensorRT {one.tensorrt}, {how}")
        if one.golden_relative_error is not None:
            allowed = bundle.manifest.golden["relative_tolerance"]
            console.say(
                f"  its answer to the golden sample is {one.golden_relative_error:.2g} off ({allowed:g} allowed)"
            )
        if one.note:
            console.note(one.note)
    console.say(f"\nType: edgevit bench {args.bundle}")
    return 0
