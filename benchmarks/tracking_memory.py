"""Follow a target for many frames out of a video file and print what memory and time do meanwhile.

    python -m benchmarks.tracking_memory [--bundle hit_nano] [--frames 20000]

The video is a built-in clip, written once and read over and over; the target is started anew each time.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from edgevit.cli.bundles import find_bundle
from edgevit.runtime import Frame, Tracks, load
from edgevit.runtime.sinks import open_sink
from edgevit.runtime.sources import open_source
from edgevit.runtime.track_clips import box_in_name

CLIP = "synthetic://clip?kind=plain&count=300"
LINES = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--bundle", default="hit_nano", help="a tracker's bundle (default: the shipped one)")
    parser.add_argument("--frames", type=int, default=20_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, load(find_bundle(asked.bundle), task="track", threads=1) as session:
        video = Path(folder) / "clip.mp4"
        box = written(video)
        print(f"{session.engine_description}, {asked.frames} frames\n\nframes  resident MB  frames a second (wall)")
        began, since = time.perf_counter(), 0
        for number, frame in enumerate(over_and_over(video), 1):
            if frame.index == 0:
                session.start(frame, box, id=1)
            else:
                session(frame)
            if number % max(1, asked.frames // LINES) == 0:
                pace = (number - since) / (time.perf_counter() - began)
                print(f"{number:6d}  {resident_mb():11.1f}  {pace:22.0f}", flush=True)
                began, since = time.perf_counter(), number
            if number >= asked.frames:
                break


def written(video: Path) -> tuple[float, float, float, float]:
    """Write the clip as a video, and return the first box as left, top, right, bottom."""
    sink, source, first = open_sink(video), open_source(CLIP), None
    for frame in source:
        first = first or box_in_name(frame.source)
        sink.write(frame, Tracks((), frame))
    sink.close()
    source.close()
    assert first is not None
    x, y, w, h = first
    return x, y, x + w, y + h


def over_and_over(video: Path) -> Iterator[Frame]:
    """Yield the frames of a file without end."""
    while True:
        source = open_source(str(video))
        yield from source
        source.close()


def resident_mb() -> float:
    """Return what the process holds now; where only the most it ever held is told, that."""
    status = Path("/proc/self/statm")
    if status.is_file():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most / 1e3


if __name__ == "__main__":
    main()
