"""Play what goes wrong around a run: engines that fail, outputs that nobody reads, full disks, signals, cut files."""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from edgevit.cli.bundles import find_bundle
from edgevit.errors import EdgevitError
from edgevit.runtime import load
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.sinks import open_sink
from edgevit.runtime.sources import open_source
from edgevit.runtime.stages import Job, Stage

from .camera import SERVER
from .clip import write_clip
from .fault_streams import BUNDLE, Row, mjpeg_at_30

sys.path.insert(0, str(SERVER.parent))
import mjpeg_server


class Broken:
    """Be a session whose engine does something at its fiftieth frame."""

    def __init__(self, session: Any, fault: Callable[[Any], Any]) -> None:
        self._stages, self._fault, self._count = session.stages(), fault, 0

    def stages(self) -> tuple[Stage, ...]:
        return tuple(Stage(s.name, partial(self._run, s)) if s.name == "inference" else s for s in self._stages)

    def _run(self, stage: Stage, job: Job) -> Any:
        self._count += 1
        return self._fault(stage.run(job)) if self._count == 50 else stage.run(job)


def engine_that(fault: Callable[[Any], Any], folder: Path) -> Row:
    """Let inference do something else at one frame; the film that is written meanwhile is looked at."""
    film = folder / "seen.mp4"
    with load(find_bundle(BUNDLE), threads=1) as session:
        pipeline = Pipeline(Broken(session, fault), open_source("synthetic://shapes?count=200"), [open_sink(film)])
        try:
            pipeline.run()
            said = "nothing"
        except Exception as exc:
            said = f"{type(exc).__name__}: {exc}"
    return f"{said} The film plays: {played(film)} frames.", "-", "-", "-"


def runs_out(outputs: Any) -> Any:
    """Raise as an engine does that has no memory left."""
    raise EdgevitError("the engine has no memory left.")


def hangs(folder: Path) -> Row:
    """Let the engine never return before a camera; it is given up after 3 s here, after 30 s by default."""
    film, never = folder / "seen.mp4", threading.Event()
    with mjpeg_at_30() as server, load(find_bundle(BUNDLE), threads=1) as session:
        engine = session._held[0]
        engine.run = after_fifty(engine.run, never)  # inside of the session, which holds its engine meanwhile
        pipeline = Pipeline(session, open_source(server.url), [open_sink(film)], plan=Plan(stall_s=3.0))
        try:
            pipeline.run(seconds=60)
            said = "nothing"
        except EdgevitError as exc:
            said = str(exc)
    never.set()
    return f"{said} The film plays: {played(film)} frames.", "-", "-", "-"


def after_fifty(run: Callable[..., Any], never: threading.Event) -> Callable[..., Any]:
    """Let an engine answer fifty times, and then no more."""
    counts = itertools.count()
    return lambda *given: run(*given) if next(counts) < 50 else never.wait()


def answers_nan(folder: Path) -> Row:
    """Run a sound bundle whose net computes 0 times infinity."""
    import onnx_files
    import tiny_bundles

    content = onnx_files.mean_classifier(folder / "source.onnx", scale=float("inf")).read_bytes()
    bundle = tiny_bundles.write(folder / "bundle", content=content).path
    return commanded(folder, ["run", str(bundle), "synthetic://shapes?count=20", str(folder / "told.jsonl")])


_UNREAD = """
import os, sys
from edgevit.cli.bundles import find_bundle
from edgevit.errors import EdgevitError
from edgevit.runtime import load
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan
from edgevit.runtime.sinks import open_sink
from edgevit.runtime.sources import open_source
with load(find_bundle("shvit_shapes"), threads=1) as session:
    pipeline = Pipeline(session, open_source(sys.argv[1]), [open_sink("-")], plan=Plan(stall_s=3.0))
    try:
        pipeline.run(seconds=60)
    except EdgevitError as exc:
        print(exc, file=sys.stderr)
report = pipeline.report()
missed = next(stage.missed for stage in report.stages if stage.name == "-")
print(f"Until then {report.answered} answers, of which it missed {missed}.", file=sys.stderr, flush=True)
os._exit(0)
"""


def unread(folder: Path) -> Row:
    """Write JSON lines into a pipe that nobody reads; a pipe is given up after 3 s here, after 30 s by default."""
    with mjpeg_server.Server(mjpeg_server.sends(10**6), pause_s=0.002) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", _UNREAD, server.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        said = " ".join(process.stderr.read().split())
        process.wait()
    return said, "-", "-", "-"


def commanded(folder: Path, words: list[str], *, room: int | None = None, end: int | None = None) -> Row:
    """Run a command, with room for so many bytes a file or ended by a signal; say what it said and what it left."""
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (room or 0, resource.RLIM_INFINITY))
    process = subprocess.Popen(
        [sys.executable, "-m", "edgevit", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit if room else None,
    )
    if end is not None:
        lines = folder / "told.jsonl"
        while process.poll() is None and not (lines.exists() and lines.stat().st_size > 30_000):
            time.sleep(0.02)
        process.send_signal(end)
    err = process.communicate(timeout=120)[1]
    said = [line.removeprefix("edgevit: ") for line in err.splitlines() if line.startswith("edgevit:")]
    left = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".mp4":
            left.append(f"`{path.name.replace(str(process.pid), 'PID')}` plays: {played(path)} frames")
        elif path.suffix in (".jsonl", ".csv"):
            whole = path.read_text().endswith("\n")
            left.append(f"{path.name} has {path.read_text().count(chr(10))} {'whole lines' if whole else 'lines'}")
    ending = [f"{'; '.join(left)}."] if left else []
    return " ".join([*said, f"Exit code {process.returncode}.", *ending]), "-", "-", "-"


def recording(folder: Path) -> list[str]:
    """Return the words of a run that records."""
    outputs = [str(folder / name) for name in ("seen.mp4", "told.jsonl", "rows.csv")]
    return ["run", BUNDLE, "synthetic://shapes?count=100000", *outputs]


def disk_full(folder: Path) -> Row:
    """Let no file grow beyond 300 kB."""
    return commanded(folder, recording(folder), room=300_000)


def signalled(number: int, folder: Path) -> Row:
    """Send a signal to a run that records."""
    return commanded(folder, recording(folder), end=number)


def cut_in_half(suffix: str, movflags: str, folder: Path) -> Row:
    """Cut a film in the middle, as a lost connection does, and run on what there is."""
    whole = write_clip(folder / f"whole{suffix}", "320x240", 120, movflags=movflags)
    half = folder / "input" / f"half{suffix}"
    half.parent.mkdir()
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.unlink()
    return commanded(folder, ["run", BUNDLE, str(half), str(folder / "told.jsonl")])


def played(path: Path) -> int:
    """Decode a film to its end."""
    import av

    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))
