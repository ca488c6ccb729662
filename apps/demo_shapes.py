"""Show the whole road of a classifier in one command: export for three devices, prove each, measure, predict, draw.

``make demo-shapes`` runs it. Everything is offline: the model, its weights and the pictures ship with edgevit.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from pathlib import Path

import edgevit
from edgevit.bundle import Bundle
from edgevit.cli import console
from edgevit.devices import load_device
from edgevit.pictures import write_picture
from edgevit.runtime import load
from edgevit.runtime.bench import bench
from edgevit.runtime.figures import BenchReport
from edgevit.runtime.sources import open_source
from edgevit.scenes.shapes import LABELS

from .draw import percent
from .sheet import contact_sheet

MODEL = "shvit_shapes"
DEVICES = ("pixel-8", "raspberry-pi-5", "intel-n100")
PICTURES = "synthetic://shapes?count=40&size=96"
SHEET_FILE = "contact-sheet.png"
_CELL_HW = (128, 128)
_COLUMNS = 8
_BENCH_RUNS = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and leave bundles and a contact sheet in a folder."""
    parser = argparse.ArgumentParser(
        prog="edgevit-demo-shapes", description="Export, prove, measure and run, on built-in pictures."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("demo-shapes"), help="folder for bundles and pictures (default: demo-shapes)"
    )
    out: Path = parser.parse_args(arguments).out
    try:
        bundles = [export_for(device, out) for device in DEVICES]
        show_proof(bundles, measure(bundles))
        right, count = predict(bundles[0], out / SHEET_FILE)
    except edgevit.EdgevitError as exc:
        console.note(f"edgevit: {exc}")
        return exc.exit_code
    console.say(f"\nPredicted {count} rendered pictures with {bundles[0].path}: {right} right. See {out / SHEET_FILE}")
    console.say(
        f"\nNext:\n  edgevit predict {bundles[0].path} YOUR-PICTURE.jpg\n  edgevit export {MODEL} --format onnx --int8"
    )
    return 0


def export_for(device: str, out: Path) -> Bundle:
    """Export the shipped model as the device likes it; an older bundle of the demo is replaced."""
    facts = load_device(device)
    console.note(f"\n{facts.name}: {facts.prefer.reason}")
    with console.progress() as progress:
        return edgevit.export(MODEL, device=device, out=out / f"{MODEL}-{device}", force=True, progress=progress)


def measure(bundles: Sequence[Bundle]) -> BenchReport:
    """Time the bundles in turns, a process each, on this machine."""
    console.note("\nLatency on this machine, the bundles taking turns:")
    with console.progress() as progress:
        return bench(bundles, iterations=_BENCH_RUNS, picture_hw=(96, 96), progress=progress)


def show_proof(bundles: Sequence[Bundle], report: BenchReport) -> None:
    """Print what was proven, a line a bundle."""
    rows = []
    for bundle, figures in zip(bundles, report.results, strict=True):
        m = bundle.manifest
        proven = m.verification["figures"]
        times = figures.stages.get("total")
        rows.append(
            (
                m.device or "",
                m.format,
                m.precision,
                f"{bundle.size_bytes / 1e6:.2f} MB",
                f"{proven['accuracy_model']:.1%} -> {proven['accuracy_file']:.1%}",
                f"{proven['top1']:.1%}",
                f"{times.p50_ms:.2f} / {times.p95_ms:.2f} ms" if times else str(figures.fault),
                m.graphs["main"].proof,
            )
        )
    console.say()
    head = ("device", "format", "precision", "size", "accuracy torch -> bundle", "same top-1", "p50 / p95", "proof")
    console.table(head, rows, right="---rrrr-")
    count = bundles[0].manifest.verification["pictures"]["count"]
    console.say(
        f"\nAccuracy on {count} renders that training never saw. Latency is of this {platform.machine()} machine "
        f"({report.machine}, {report.cores} cores), from picture to answer; a device has its own: edgevit bench."
    )


def predict(bundle: Bundle, sheet: Path) -> tuple[int, int]:
    """Name the objects on rendered pictures and lay the answers out on one sheet; return how many were right."""
    pictures, captions, right = [], [], []
    with load(bundle) as session:
        for result in session.stream(open_source(PICTURES)):
            told = result.name(result.top1)
            truth = next((label for label in LABELS if f"-{label}." in result.frame.source), "")
            pictures.append(result.frame.to_rgb())
            captions.append(f"{told} {percent(float(result.scores[result.top1]))}")
            right.append(told == truth)
    write_picture(sheet, contact_sheet(pictures, columns=_COLUMNS, cell_hw=_CELL_HW, captions=captions, right=right))
    return sum(right), len(right)


if __name__ == "__main__":
    raise SystemExit(main())
