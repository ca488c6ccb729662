"""Show the whole road in one command: export the tracker for three devices, prove each, and let it follow a target.

``make demo`` runs it. Everything is offline: the model, its weights and the clip ship with edgevit. The clip hides its
target behind a post, among things that look like it.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import edgevit
from edgevit.bundle import Bundle
from edgevit.cli import console
from edgevit.devices import load_device
from edgevit.errors import RefusedError
from edgevit.pictures import write_picture
from edgevit.runtime import Frame, Tracks, TrackSession, load
from edgevit.runtime.figures import Percentiles
from edgevit.runtime.sinks import open_sink
from edgevit.runtime.track_clips import RenderedSequence, built_in
from edgevit.runtime.track_score import TrackScore, overlap, score

from .draw_tracks import draw_tracks
from .sheet import contact_sheet

MODEL = "hit_nano"
DEVICES = ("pixel-8", "raspberry-pi-5", "intel-n100")
CLIP = "synthetic://clip?kind=demo"
VIDEO_FILE, SHEET_FILE = "tracked.mp4", "contact-sheet.png"
_COLUMNS, _ROWS = 6, 4
_CELL_HW = (120, 160)
_THREADS = 1
_SAFE = "fp16"

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Followed:
    """Hold how one bundle followed the clip; ``times`` are those of a whole frame: crop, net, filter, decision."""

    score: TrackScore
    times: Percentiles
    answers: tuple[Tracks, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and leave bundles, a video and a contact sheet in a folder."""
    parser = argparse.ArgumentParser(
        prog="edgevit-demo", description="Export a tracker, prove it, and follow a target through a built-in clip."
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for all that is made (default: demo)")
    out: Path = parser.parse_args(arguments).out
    try:
        bundles = [export_for(device, out) for device in DEVICES]
        (clip,) = built_in(CLIP)
        truth = clip.boxes_xywh
        runs = follow_in_turns(bundles, clip)
        show_proof(bundles, runs, score([truth[0] or (0, 0, 1, 1)] * len(truth), truth))
        draw(runs[0].answers, truth, out)
    except edgevit.EdgevitError as exc:
        console.note(f"edgevit: {exc}")
        return exc.exit_code
    console.say(f"\nThe target is hidden behind the post for a while. See {out / VIDEO_FILE} and {out / SHEET_FILE}")
    console.say(
        f"\nNext:\n  edgevit track YOUR-VIDEO.mp4 followed.mp4 --bundle {bundles[0].path} --show\n"
        "  edgevit track --help\n  make demo-shapes"
    )
    return 0


def export_for(device: str, out: Path) -> Bundle:
    """Export the shipped tracker as the device likes it; an older bundle of the demo is replaced."""
    facts = load_device(device)
    console.note(f"\n{facts.name}: {facts.prefer.reason}")
    place = out / f"{MODEL}-{device}"
    with console.progress() as progress:
        try:
            return edgevit.export(MODEL, device=device, out=place, force=True, progress=progress)
        except RefusedError as exc:
            # What a gate is for: the device would like int8, the proof says what that costs, fp16 is sealed instead.
            console.note(f"{exc}\nOnce more in {_SAFE}:")
            return edgevit.export(MODEL, device=device, precision=_SAFE, out=place, force=True, progress=progress)


def follow_in_turns(bundles: Sequence[Bundle], clip: RenderedSequence) -> list[Followed]:
    """Follow the clip with all bundles, frame by frame in turns: what else the machine does slows them alike."""
    console.note("\nFollowing the target with each bundle, in turns, one thread each:")
    sessions = [load(bundle, task="track", threads=_THREADS) for bundle in bundles]
    answers: list[list[Tracks]] = [[] for _ in bundles]
    try:
        for session in sessions:
            session.warmup()
        for frame in clip.frames():
            for session, own in zip(sessions, answers, strict=True):
                own.append(_step(session, frame, None if own else clip.boxes_xywh[0]))
    finally:
        for session in sessions:
            session.close()
    return [_judged(tuple(own), clip.boxes_xywh) for own in answers]


def show_proof(bundles: Sequence[Bundle], runs: Sequence[Followed], still: TrackScore) -> None:
    """Print what was proven, a line a bundle."""
    rows = []
    for bundle, run in zip(bundles, runs, strict=True):
        m = bundle.manifest
        proven = m.verification["figures"]
        rows.append(
            (
                m.device or "",
                m.format,
                m.precision,
                f"{bundle.size_bytes / 1e6:.2f} MB",
                f"{proven['box_iou_median']:.4f}",
                f"{proven['auc_model']:.3f} -> {proven['auc_file']:.3f}",
                f"{run.score.auc:.3f}",
                f"{run.times.p50_ms:.1f} / {run.times.p95_ms:.1f} ms",
                m.graphs["track"].proof,
            )
        )
    console.say()
    head = ("device", "format", "precision", "size", "box IoU", "AUC torch -> bundle", "AUC here", "p50 / p95", "proof")
    console.table(head, rows, right="---rrrrr-")
    pairs = bundles[0].manifest.verification["pictures"]["count"]
    console.say(
        f"\nBox IoU: the bundle's box against the model's in torch, median of {pairs} pairs. AUC torch -> bundle: "
        "success over short legs of built-in clips. AUC here: over the clip that was drawn "
        f"({runs[0].score.frames} frames; a box that stays where it is has {still.auc:.3f}). Times are of a frame "
        f"on one core of this {platform.machine()} machine; a device has its own."
    )


def draw(answers: Sequence[Tracks], truth: Sequence[Box | None], out: Path) -> None:
    """Write the annotated video, and a sheet of frames spread over it."""
    sink = open_sink(out / VIDEO_FILE)
    try:
        for tracks in answers:
            sink.write(tracks.frame, tracks)
    finally:
        sink.close()
    count = _COLUMNS * _ROWS
    chosen = [round(number * (len(answers) - 1) / (count - 1)) for number in range(count)]
    shares = [None if (true := truth[index]) is None else overlap(answers[index][0].box_xywh, true) for index in chosen]
    captions = [
        f"{index}: {'hidden' if share is None else f'IoU {share:.2f}'}"
        for index, share in zip(chosen, shares, strict=True)
    ]
    right = [None if share is None else share >= 0.5 for share in shares]
    pictures = [draw_tracks(answers[index]) for index in chosen]
    sheet = contact_sheet(pictures, columns=_COLUMNS, cell_hw=_CELL_HW, captions=captions, right=right)
    write_picture(out / SHEET_FILE, sheet)


def _step(session: TrackSession, frame: Frame, box_xywh: Box | None) -> Tracks:
    if box_xywh is None:
        return session(frame)
    x, y, w, h = box_xywh
    return Tracks((session.start(frame, (x, y, x + w, y + h)),), frame)


def _judged(answers: tuple[Tracks, ...], truth: Sequence[Box | None]) -> Followed:
    boxes = [tracks[0].box_xywh for tracks in answers]
    times = [tracks[0].timing.total_ms for tracks in answers[1:]]
    return Followed(score(boxes, truth), Percentiles.of(times), answers)


if __name__ == "__main__":
    raise SystemExit(main())
