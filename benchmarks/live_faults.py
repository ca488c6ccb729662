"""Play each fault of a live run with real parts and print what a user saw: the page docs/faults.md.

    python -m benchmarks.live_faults [--only WORD] > docs/faults.md

Cameras are servers on real sockets, in threads of this process; outputs are files; commands are processes.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from edgevit.cli import console

from .camera import SERVER
from .fault_pages import strangers, viewer_that_never_reads
from .fault_runs import answers_nan, cut_in_half, disk_full, engine_that, hangs, runs_out, signalled, unread
from .fault_streams import Row, clock_jumps, larger, mjpeg_that, other_codec, restarted, rtsp_that

sys.path.insert(0, str(SERVER.parent))
import mjpeg_server
import rtsp_server

HEAD = """# What happens when things go wrong

Each line was played with real parts by `python -m benchmarks.live_faults`, which made this page: servers on sockets, \
files, processes, the shipped classifier. "Back after" is the time without an answer, from the last one before to the \
first one after; the wait for silence (`timeout`, here 1 s, by default 5 s) is in it.

| what went wrong | what the user saw | reconnects | dropped | back after |
|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="play those whose name holds this word")
    asked = parser.parse_args()
    console.say(HEAD)
    for name, play in FAULTS.items():
        if asked.only in name:
            with tempfile.TemporaryDirectory() as folder:
                row = play(Path(folder))
            shown = [cell.replace(folder, "…").replace("|", "/") for cell in row]
            console.say(f"| {name} | {' | '.join(shown)} |")
            sys.stdout.flush()


FAULTS: dict[str, Callable[[Path], Row]] = {
    "an MJPEG camera hangs up": partial(mjpeg_that, None),
    "an MJPEG camera freezes": partial(mjpeg_that, mjpeg_server.freezes),
    "an MJPEG camera sends noise": partial(mjpeg_that, mjpeg_server.noise),
    "an MJPEG camera changes its size": partial(mjpeg_that, larger),
    "an MJPEG server is started anew": partial(
        restarted, partial(mjpeg_server.Server, mjpeg_server.sends(10**6), pause_s=1 / 30)
    ),
    "an RTSP camera hangs up": lambda folder: rtsp_that(folder=folder),
    "an RTSP camera freezes": lambda folder: rtsp_that(rtsp_server.freezes, folder=folder),
    "an RTSP camera sends noise in its packets": lambda folder: rtsp_that(rtsp_server.noise, folder=folder),
    "an RTSP camera sends what is no RTSP": lambda folder: rtsp_that(rtsp_server.babble, folder=folder),
    "an RTSP camera changes its size": lambda folder: rtsp_that(rtsp_server.loop((96, 80)), folder=folder),
    "an RTSP camera is set to H.265": other_codec,
    "an RTSP server is started anew": partial(restarted, rtsp_server.RtspServer),
    "an MP4 file is cut in half, its index in front": partial(cut_in_half, ".mp4", "+faststart"),
    "an MP4 file is cut in half, its index at the end": partial(cut_in_half, ".mp4", ""),
    "an MKV file is cut in half": partial(cut_in_half, ".mkv", ""),
    "the disk is full while recording": disk_full,
    "SIGINT while recording": partial(signalled, signal.SIGINT),
    "SIGTERM while recording": partial(signalled, signal.SIGTERM),
    "kill -9 while recording": partial(signalled, signal.SIGKILL),
    "nobody reads the output": unread,
    "the engine raises": partial(engine_that, runs_out),
    "the engine answers NaN": answers_nan,
    "the engine never returns": hangs,
    "a viewer of the page never reads": viewer_that_never_reads,
    "a thousand requests with wrong tokens, hosts, paths, bodies": strangers,
    "the clock of the day is set back by an hour": clock_jumps,
}

if __name__ == "__main__":
    main()
