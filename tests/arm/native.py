"""Cross-compile the kernels with the project's own CMake file: the library that a Raspberry Pi would build itself."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .root import COMPILER, HOUSE, WORK


class BuildError(Exception):
    """The kernels do not compile; the text is the compiler's."""


@dataclass(frozen=True)
class Native:
    """Hold the shared library and the C++ self-test."""

    library: Path
    selftest: Path


def build() -> Native:
    """Compile into an empty folder, in a few seconds."""
    folder = WORK / "native"
    shutil.rmtree(folder, ignore_errors=True)
    target = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", f"-DCMAKE_CXX_COMPILER={COMPILER}"]
    configure = ["cmake", "-S", str(HOUSE / "kernels" / "native"), "-B", str(folder), *target]
    for command in (configure, ["cmake", "--build", str(folder), "--parallel", "2"]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise BuildError(f"the kernels do not compile for aarch64:\n{done.stdout}{done.stderr}")
    return Native(folder / "libedgevit_kernels.so", folder / "selftest")
