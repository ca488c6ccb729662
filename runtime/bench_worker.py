"""Run one bundle in a process of its own and time it: ``python -m edgevit.runtime.bench_worker ORDER``.

It reads one JSON line a question from stdin and answers each with one on stdout. The end of stdin is the end of it,
so it never outlives the program that measures.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from edgevit.errors import EdgevitError
from edgevit.registry import door

from .figures import STAGES
from .frame import Frame

_PICTURES = 4


def main(order: str) -> None:
    """Load, warm up, then answer questions until there are no more."""
    # Ctrl-C reaches the whole group; the measuring program decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _own_stdout()
    try:
        for answer in _work(json.loads(order), sys.stdin):
            print(json.dumps(answer), file=answers, flush=True)
    except EdgevitError as fault:
        print(json.dumps({"fault": str(fault), "exit_code": fault.exit_code}), file=answers, flush=True)
    except Exception as fault:
        sentence = f"{type(fault).__name__}: {' '.join(str(fault).split())}"
        print(json.dumps({"fault": sentence, "exit_code": 1}), file=answers, flush=True)
        raise


def _work(order: Mapping[str, Any], questions: TextIO) -> Iterator[dict[str, Any]]:
    base = memory_bytes("VmRSS")
    began = time.perf_counter()
    load = door("edgevit.runtime:load")
    with load(order["path"], **{key: order[key] for key in ("engine", "threads", "precision")}) as session:
        load_ms = _ms_since(began)
        frames = pictures(tuple(order["picture_hw"]))
        began = time.perf_counter()
        session(frames[0])
        loaded = {"load_ms": load_ms, "first_ms": _ms_since(began), "base_memory_bytes": base}
        measure(session, frames, count=order["warmup"])
        yield {**loaded, "engine": session.engine_description}
        for line in questions:
            question = json.loads(line)
            if question.get("end"):
                yield {"peak_memory_bytes": memory_bytes("VmHWM")}
                return
            # The other bundles have just used the caches, and the engine's threads have gone to sleep.
            measure(session, frames, count=question["settle"])
            yield measure(session, frames, count=question["count"], seconds=question["seconds"])


def measure(
    session: Any, frames: Sequence[Frame], *, count: int | None = None, seconds: float | None = None
) -> dict[str, list[float]]:
    """Call the session ``count`` times, or at least once and for ``seconds``; return the times in milliseconds."""
    times: dict[str, list[float]] = {stage: [] for stage in STAGES}
    end = time.perf_counter() + seconds if seconds is not None else None
    done = 0
    while done < count if count is not None else done == 0 or time.perf_counter() < (end or 0.0):
        began = time.perf_counter()
        result = session(frames[done % len(frames)])
        times["total"].append(_ms_since(began))
        for stage, value in result.speed.items():
            times[stage].append(value)
        done += 1
    return times


def pictures(size_hw: tuple[int, int]) -> list[Frame]:
    """Render the frames that are measured with: never noise, which some kernels treat unlike pictures."""
    from edgevit.scenes.shapes import render_picture

    return [
        Frame(render_picture(n, size_hw=size_hw)[0], "rgb", time.monotonic_ns(), n, f"synthetic picture {n}")
        for n in range(_PICTURES)
    ]


def memory_bytes(field: str) -> int | None:
    """Return this process's resident memory now (``VmRSS``) or at its peak (``VmHWM``).

    getrusage would be shorter, but on Linux its peak counts the parent's memory at the fork as well.
    """
    try:
        with Path("/proc/self/status").open(encoding="ascii", errors="replace") as status:
            found = next((line for line in status if line.startswith(f"{field}:")), None)
        return int(found.split()[1]) * 1024 if found else None
    except OSError:
        pass
    if field != "VmHWM":
        return None
    import resource

    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS


def _own_stdout() -> TextIO:
    """Take stdout for the answers and send everybody else's prints, native ones too, to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 4)


if __name__ == "__main__":
    main(sys.argv[1])
