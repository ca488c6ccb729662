"""Run a program on another processor: qemu's, with the files that programs read to learn which one it is.

ONNX Runtime and LiteRT read ``/proc/cpuinfo`` and ``/sys/devices/system/cpu`` when they are imported, and crash on
those of a PC. Each processor here is a folder with its own two, and links to the packages; its paths win over the
host's.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .root import EMULATOR, HOUSE, WORK, Root

CORES = 4
_LIMIT_S = 300.0
_TOO_LONG = 124


@dataclass(frozen=True)
class Processor:
    """Name a processor as qemu does, the board that has it, and what Linux there says of it."""

    name: str
    board: str
    part: str
    features: str

    def cpuinfo(self) -> str:
        """Return /proc/cpuinfo as Linux on ARM writes it."""
        lines = f"BogoMIPS\t: 108.00\nFeatures\t: {self.features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
        lines += f"CPU variant\t: 0x1\nCPU part\t: {self.part}\nCPU revision\t: 0\n"
        return "\n".join(f"processor\t: {core}\n{lines}" for core in range(CORES))


_BOTH = "fp asimd evtstrm crc32 cpuid"
PI_5 = Processor("cortex-a76", "Raspberry Pi 5", "0xd0b", f"{_BOTH} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp")
PI_4 = Processor("cortex-a72", "Raspberry Pi 4", "0xd08", _BOTH)
"""The first has fp16 arithmetic and dot products, the second has neither: an instruction too new for it is SIGILL."""


@dataclass(frozen=True)
class Answer:
    """Hold what an emulated program said, how it ended, and how long it took here."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    def fault(self) -> str | None:
        """Say in words what went wrong, or None."""
        if self.code == 0:
            return None
        last = (self.stderr.strip() or self.stdout.strip() or "it said nothing").splitlines()[-1]
        if self.code == _TOO_LONG:
            return f"still running after {self.seconds:.0f} s, so it was ended: {last}"
        if self.code < 0:
            return f"ended by {signal.Signals(-self.code).name}: {last}"
        return f"ended with {self.code}: {last}"


@dataclass(frozen=True)
class Board:
    """Be one processor with the root's packages and wheels; ``run`` runs a module of ours there."""

    root: Root
    processor: Processor
    folder: Path
    variables: Mapping[str, str]

    def run(self, module: str, *arguments: str, limit_s: float = _LIMIT_S) -> Answer:
        """Run ``python -m module`` with the sources of this tree, numpy and two engines, and nothing else."""
        return self.execute(self.root.python, "-m", module, *arguments, limit_s=limit_s)

    def execute(self, program: Path, *arguments: str, limit_s: float = _LIMIT_S) -> Answer:
        """Run an ARM program."""
        emulator = [shutil.which(EMULATOR) or EMULATOR, "-cpu", self.processor.name, "-L", str(self.folder)]
        command = [*emulator, str(program), *arguments]
        begun = time.perf_counter()
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=limit_s
            )
        except subprocess.TimeoutExpired as late:
            said = late.stderr.decode(errors="replace") if isinstance(late.stderr, bytes) else late.stderr or ""
            return Answer(_TOO_LONG, "", said, time.perf_counter() - begun)
        return Answer(done.returncode, done.stdout, done.stderr, time.perf_counter() - begun)

    def environment(self) -> dict[str, str]:
        """Return all that the program learns of this machine; PATH is empty, since no ARM program lies there."""
        return {
            "PATH": "",
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "PYTHONPATH": f"{self.root.site}:{HOUSE}",
            "PYTHONNOUSERSITE": "1",
            "EDGEVIT_CACHE": str(WORK / "cache"),
            **self.variables,
        }


def board(root: Root, processor: Processor, variables: Mapping[str, str]) -> Board:
    """Lay out the files of a processor, anew each time: they are a few lines."""
    folder = root.folder / processor.name
    shutil.rmtree(folder, ignore_errors=True)
    cores = folder / "sys" / "devices" / "system" / "cpu"
    cores.mkdir(parents=True)
    for name in ("possible", "present", "online"):
        (cores / name).write_text(f"0-{CORES - 1}\n")
    (cores / "kernel_max").write_text(f"{CORES - 1}\n")
    (folder / "proc").mkdir()
    (folder / "proc" / "cpuinfo").write_text(processor.cpuinfo())
    for entry in root.system.iterdir():
        if entry.name not in ("proc", "sys"):
            (folder / entry.name).symlink_to(entry)
    return Board(root, processor, folder, variables)
