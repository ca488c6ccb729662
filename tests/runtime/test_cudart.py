from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import numpy as np
import pytest

from edgevit.errors import EngineError, EnvironmentFault
from edgevit.runtime.engines.cudart import Cudart, Pair


def test_a_view_never_reaches_beyond_its_memory() -> None:
    memory = ctypes.create_string_buffer(16)
    pair = Pair(ctypes.addressof(memory), 0, 16)
    pair.view((2, 2), np.float32)[...] = 1.5
    assert memory.raw == np.full(4, 1.5, np.float32).tobytes()
    with pytest.raises(EngineError, match="does not fit into the 16 bytes"):
        pair.view((5,), np.float32)


def test_a_real_libcudart_has_every_function_that_is_called() -> None:
    """Where NVIDIA's wheel is installed (it comes with torch for CUDA), its library is asked; it needs no GPU."""
    found = [p for folder in sys.path for p in sorted(Path(folder, "nvidia/cu13/lib").glob("libcudart.so.*"))]
    if not found:
        pytest.skip("no libcudart is installed")
    runtime = Cudart(ctypes.CDLL(str(found[0])))
    try:
        assert runtime.gpu().name
    except EnvironmentFault as fault:
        assert "CUDA shows no GPU here: " in str(fault)  # noqa: PT017 - either is right, by the machine
