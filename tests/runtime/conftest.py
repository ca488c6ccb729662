"""Make this machine one with TensorRT and a GPU, by their stand-ins; and see that no thread of a run is left."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Device = Callable[..., ModuleType]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import fake_tensorrt

    made = tmp_path_factory.mktemp("cudart") / "libcudart.so"
    source = Path(fake_tensorrt.__file__).with_name("fake_cudart.c")
    subprocess.run([str(shutil.which("cc")), "-shared", "-fPIC", "-O1", "-o", str(made), str(source)], check=True)
    return made


@pytest.fixture
def cuda(library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give the stand-in of libcudart; what a test leaves reserved there is its failure."""
    loaded = ctypes.CDLL(str(library))
    loaded.fake_reset()
    monkeypatch.setattr("edgevit.runtime.engines.cudart._NAMES", (str(library),))
    yield loaded
    assert loaded.fake_live() == 0
    assert loaded.fake_queued() == 0


@pytest.fixture
def device(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> Device:
    """Give a function that makes this machine one with a version of TensorRT and a GPU."""

    import fake_tensorrt

    def install(version: str = "10.3.0", gpu: str = "Orin", compute: tuple[int, int] = (8, 7)) -> ModuleType:
        cuda.fake_gpu(1, gpu.encode(), *compute)
        made = fake_tensorrt.module(version, cuda)
        monkeypatch.setitem(sys.modules, "tensorrt", made)
        return made

    return install


@pytest.fixture
def nobody_is_left() -> Iterator[None]:
    """Fail a test after which a thread of a run goes on."""
    from paced import threads

    yield
    deadline = time.monotonic() + 10
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not threads()
