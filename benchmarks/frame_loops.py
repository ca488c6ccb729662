"""Compare edgevit's pipeline with the loops people write: OpenCV's, supervision's, and ultralytics' ``predict``.

    python -m benchmarks.frame_loops [--rounds 5] [--ultralytics /path/to/its/python]

All run the same ONNX file (the shipped classifier) with one thread of ONNX Runtime, each in a process of its own, by
turns. Of a clip: frames a second and processor time a frame. Of a camera at 30 frames a second: how old the answers
are, by the numbers in the pictures and the camera's own clock. Medians of the rounds, and ratios to edgevit's of the
same run. ``--heavy-ms`` lets every answer take longer, asleep, as with a larger net on an accelerator: then a loop that
answers every frame falls behind. ultralytics is AGPL and no dependency: it is run where somebody has installed it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.camera import Camera, TrueAges, number_in

LOOPS = ("edgevit", "opencv", "supervision", "ultralytics")
MODEL = Path(__file__).parents[1] / "edgevit" / "weights" / "shvit_shapes-onnx-fp32" / "model.onnx"
SIZE, MEAN, STD = 96, 0.5, 0.5
FPS, PICTURES = 30, 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--heavy-ms", type=float, default=50.0)
    parser.add_argument("--camera-core", type=int, help="the core that the camera runs on")
    parser.add_argument("--ultralytics", metavar="PYTHON", help="an interpreter that has ultralytics")
    parser.add_argument("--as", dest="loop", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--source", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.loop:
        print(json.dumps(measured(asked.loop, asked.source, asked.seconds, asked.heavy_ms)), flush=True)
        return
    from edgevit.cli import console

    from .clip import write_clip

    loops = [loop for loop in LOOPS if loop != "ultralytics" or asked.ultralytics]
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder, "clip.mp4"), asked.size, asked.frames)
        found: dict[tuple[str, str], list[dict[str, float]]] = {}
        with Camera(asked.size, fps=FPS, pictures=PICTURES, core=asked.camera_core) as camera:
            for _ in range(asked.rounds):
                for case, source, heavy_ms in _cases(clip, camera, asked.heavy_ms):
                    for loop in loops:
                        told = in_its_own_process(loop, source, asked.seconds, heavy_ms, asked.ultralytics)
                        found.setdefault((case, loop), []).append(aged(told, camera))
    console.table(("case", "loop", "fps", "of edgevit's", "CPU ms", "of edgevit's", "age p50", "p95"), rows_of(found))
    cores = len(os.sched_getaffinity(0))
    console.say(f"\n{asked.size}, medians of {asked.rounds} rounds, {cores} cores, {platform.machine()}.")


def _cases(clip: Path, camera: Camera, heavy_ms: float) -> list[tuple[str, str, float]]:
    return [
        ("clip", str(clip), 0.0),
        ("camera", camera.url, 0.0),
        (f"camera, +{heavy_ms:g} ms", camera.url, heavy_ms),
    ]


def in_its_own_process(loop: str, source: str, seconds: float, heavy_ms: float, other: str | None) -> dict[str, Any]:
    """Run one loop in another process and return what it told."""
    python = other if loop == "ultralytics" and other else sys.executable
    words = [python, "-m", "benchmarks.frame_loops", "--as", loop, "--source", source]
    words += ["--seconds", str(seconds), "--heavy-ms", str(heavy_ms)]
    quiet = {"YOLO_CONFIG_DIR": tempfile.gettempdir(), "YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"}
    environment = {**os.environ, **quiet, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1], env=environment
    )
    if ended.returncode:
        raise SystemExit(f"{loop} failed:\n{ended.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


def aged(told: dict[str, Any], camera: Camera) -> dict[str, float]:
    """Return the figures of a run, with the true ages of a camera's answers."""
    figures = {key: float(told[key]) for key in ("fps", "cpu_ms")}
    if told["live"]:
        ages = TrueAges(fps=camera.fps, pictures=camera.pictures)
        for number, at_s in zip(told["numbers"], told["at_s"], strict=True):
            ages.answered(number, at_s)
        old = np.array(ages.ages_ms(camera.began()))[len(ages.sent) // 4 :]
        figures |= {"p50": float(np.percentile(old, 50)), "p95": float(np.percentile(old, 95))}
    return figures


def rows_of(found: dict[tuple[str, str], list[dict[str, float]]]) -> list[tuple[str, ...]]:
    """Return the table, each loop beside edgevit's figures of the same case."""
    rows = []
    for (case, loop), rounds in found.items():
        ours = found[case, "edgevit"]
        ratios = {
            key: statistics.median(one[key] / own[key] for one, own in zip(rounds, ours, strict=True))
            for key in ("fps", "cpu_ms")
        }
        middle = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        ages = [f"{middle[key]:.0f}" if key in middle else "-" for key in ("p50", "p95")]
        fps, cpu = (f"{middle[key]:.{places}f}" for key, places in (("fps", 1), ("cpu_ms", 2)))
        rows.append((case, loop, fps, f"{ratios['fps']:.2f}", cpu, f"{ratios['cpu_ms']:.2f}", *ages))
    return rows


# ---- in the process of one loop


def measured(loop: str, source: str, seconds: float, heavy_ms: float) -> dict[str, Any]:
    """Answer for a source, and tell when each answer stood and for which picture."""
    live = "://" in source
    numbers: list[int] = []
    at_s: list[float] = []
    began_s = cpu_s = 0.0
    for luma in _LOOPS[loop](source, heavy_ms):
        now_s = time.monotonic()
        numbers.append(number_in(luma))
        at_s.append(now_s)
        if len(at_s) == 1:
            began_s, cpu_s = now_s, time.process_time()
        if live and now_s - began_s > seconds:
            break
    cpu_s, took_s = time.process_time() - cpu_s, at_s[-1] - began_s
    count = len(at_s) - 1
    return {
        "live": live, "numbers": numbers, "at_s": at_s, "fps": count / took_s, "cpu_ms": 1e3 * cpu_s / count,
    }  # fmt: skip


def _edgevit(source: str, heavy_ms: float) -> Iterator[Any]:
    from edgevit.runtime import load
    from edgevit.runtime.pipeline import Pipeline
    from edgevit.runtime.sources import open_source

    from .four_cameras import Slower

    with load(MODEL.parent, threads=1) as session:
        session.warmup()
        model = Slower(session, heavy_ms) if heavy_ms else session
        for result in Pipeline(model, open_source(source)).results():
            frame = result.frame
            yield frame.data if frame.pixel_format == "i420" else frame.to_rgb()[..., 1]


class _Plain:
    """Answer as such loops do: cv2 and numpy in front of ONNX Runtime."""

    def __init__(self, heavy_ms: float) -> None:
        import cv2
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
        self._cv2, self._heavy_s = cv2, heavy_ms / 1e3
        cv2.setNumThreads(1)

    def __call__(self, bgr: Any) -> int:
        height, width = bgr.shape[:2]
        scale = SIZE / min(height, width)
        size_wh = max(SIZE, round(width * scale)), max(SIZE, round(height * scale))
        small = self._cv2.resize(bgr, size_wh, interpolation=self._cv2.INTER_AREA)
        top, left = (small.shape[0] - SIZE) // 2, (small.shape[1] - SIZE) // 2
        cut = small[top : top + SIZE, left : left + SIZE, ::-1].astype(np.float32) / 255
        tensor = np.ascontiguousarray(((cut - MEAN) / STD).transpose(2, 0, 1)[None], np.float32)
        time.sleep(self._heavy_s)
        return int(np.argmax(self._session.run(None, {"image": tensor})[0]))


def _opencv(source: str, heavy_ms: float) -> Iterator[Any]:
    import cv2

    answer, capture = _Plain(heavy_ms), cv2.VideoCapture(source)
    while True:
        came, bgr = capture.read()
        if not came:
            return
        answer(bgr)
        yield bgr[..., 1]


def _supervision(source: str, heavy_ms: float) -> Iterator[Any]:
    import supervision

    answer = _Plain(heavy_ms)
    for bgr in supervision.get_video_frames_generator(source):
        answer(bgr)
        yield bgr[..., 1]


def _ultralytics(source: str, heavy_ms: float) -> Iterator[Any]:
    import torch
    from ultralytics import YOLO

    torch.set_num_threads(1)
    with suppress(RuntimeError):
        torch.set_num_interop_threads(1)
    model = YOLO(str(MODEL), task="classify")
    for result in model.predict(source, stream=True, imgsz=SIZE, verbose=False, device="cpu"):
        time.sleep(heavy_ms / 1e3)  # between answers: its net cannot be told to take longer
        yield result.orig_img[..., 1]


_LOOPS = {"edgevit": _edgevit, "opencv": _opencv, "supervision": _supervision, "ultralytics": _ultralytics}

if __name__ == "__main__":
    main()
