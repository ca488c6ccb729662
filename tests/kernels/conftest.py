"""Build the native library once, where a compiler is, and let a test walk over every form of the kernels."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from edgevit.kernels import choice, library

NATIVE = Path(__file__).resolve().parents[2] / "kernels" / "native"
FORMS = ("numpy", "scalar", "neon" if platform.machine() in ("arm64", "aarch64") else "avx2")


@pytest.fixture(scope="session")
def native_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a library of the sources as they are now, whatever is installed."""
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        installed = library.find(os.environ.get(choice.PLACE, ""))
        if installed is None:
            pytest.skip("no C++ compiler on this machine and no installed library")
        return installed
    out = tmp_path_factory.mktemp("native") / "libedgevit_kernels.so"
    sources = [str(path) for path in sorted(NATIVE.rglob("*.cpp")) if path.name != "selftest.cpp"]
    flags = ["-std=c++17", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off"]
    subprocess.run([compiler, *flags, f"-I{NATIVE}", *sources, "-o", str(out)], check=True)
    return out


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, native_library: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test once with every form that this machine has."""
    name = str(request.param)
    monkeypatch.setenv(choice.PLACE, str(native_library))
    if name != "numpy" and name not in library.Library(native_library).architectures():
        pytest.skip(f"this machine's processor or the library has no {name}")
    monkeypatch.setenv(choice.WISH, name)
    assert choice.active().name == name
    return name
