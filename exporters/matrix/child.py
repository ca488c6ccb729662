"""Fork a child that works and tells, watch its time and memory, and say how it ended.

The child inherits the model and torch without paying for them again. What it prints goes to a file: the last words of a
process that died are the reason.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from .reasons import last_words

Tell = Callable[[dict[str, Any]], None]

_LOOK_S = 0.25
_GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    """Say how long one cell may take, and how much memory its process may hold."""

    timeout_s: float = 900.0
    memory_bytes: int = 8 * _GIB


@dataclass(frozen=True)
class Ending:
    """Tell how a child ended that did not come to its end by itself."""

    verdict: str
    reason: str


class Child:
    """Hold a forked process. ``messages`` is what it tells, ``ending`` is set when it was ended or died."""

    def __init__(self, work: Callable[[Tell], None], limits: Limits, *, parent: int) -> None:
        """Fork. ``parent`` is who started this process: when that one is gone, so are we."""
        self.ending: Ending | None = None
        self._limits = limits
        self._parent = parent
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it is read when the child has ended
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reader)
            _work(work, writer, self._words)
        os.close(writer)
        self._reader = reader

    def messages(self, *, fresh: Callable[[dict[str, Any]], bool]) -> Iterator[dict[str, Any]]:
        """Yield what the child tells until it ends. A ``fresh`` message starts its time anew."""
        began, rest = time.monotonic(), b""
        try:
            while True:
                ready, _, _ = select.select([self._reader], [], [], _LOOK_S)
                if ready:
                    chunk = os.read(self._reader, 1 << 16)
                    if not chunk:
                        break
                    *lines, rest = (rest + chunk).split(b"\n")
                    for message in map(json.loads, lines):
                        began = time.monotonic() if fresh(message) else began
                        yield message
                self._check(time.monotonic() - began)
                if self.ending:
                    break
        finally:
            self._end()

    def _check(self, seconds: float) -> None:
        """End the child where it is over a limit, and both of us where nobody listens any more."""
        if os.getppid() != self._parent:
            self._kill()
            os.waitpid(self.pid, 0)
            os._exit(1)
        if seconds > self._limits.timeout_s:
            self.ending = Ending("timeout", f"not finished after {self._limits.timeout_s:.0f} s")
        elif (held := resident_bytes(self.pid)) > self._limits.memory_bytes:
            most = self._limits.memory_bytes / _GIB
            self.ending = Ending("memory", f"needs {held / _GIB:.1f} GiB and more; the limit is {most:.1f}")

    def _end(self) -> None:
        if self.ending:
            self._kill()
        os.close(self._reader)
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code != 0 and self.ending is None:
            told = f"the process died of {_name(-code)}" if code < 0 else f"the process ended with code {code}"
            words = self._last_words()
            self.ending = Ending("crashed", f"{told}: {words}" if words else told)
        self._words.close()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _last_words(self) -> str:
        self._words.seek(0)
        return last_words(self._words.read())


def _work(work: Callable[[Tell], None], writer: int, words: IO[bytes]) -> NoReturn:
    """Be the child: nothing of the parent's is flushed, closed or cleaned up by it."""
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in (1, 2):
            os.dup2(words.fileno(), number)
        faulthandler.enable(words.fileno())

        def tell(message: dict[str, Any]) -> None:
            data = json.dumps(message, allow_nan=False).encode() + b"\n"
            while data:
                data = data[os.write(writer, data) :]

        work(tell)
        code = 0
    except BaseException as fault:
        line = f"{type(fault).__name__}: {' '.join(str(fault).split())}\n"
        os.write(words.fileno(), line.encode("utf-8", "replace"))
    finally:
        os._exit(code)


def resident_bytes(pid: int) -> int:
    """Return the memory that a process holds: from /proc, or from ``ps`` where there is none; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        pass
    if Path("/proc/self").exists():
        return 0
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return int(told.strip() or 0) * 1024


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
