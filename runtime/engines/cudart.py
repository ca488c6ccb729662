"""Call the few functions of the CUDA runtime that an engine needs: memory, copies, one stream. ctypes, no package.

JetPack, CUDA's installers and NVIDIA's wheels all bring ``libcudart``; a Jetson needs nothing more. Every call's code
is checked, and what CUDA says of it is told.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.errors import EngineError, EnvironmentFault

_NAMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so")
_WHEELS = ("nvidia/cu13/lib", "nvidia/cuda_runtime/lib")
"""Where NVIDIA's own wheels put it: no loader looks there."""

_TO_DEVICE, _TO_HOST = 1, 2
_NON_BLOCKING = 1
_MAJOR, _MINOR = 75, 76
_PROPERTIES_BYTES = 1 << 14
"""More than the structure has in any release; its first 256 bytes are the name in all of them."""
_NAME_BYTES = 256

_pointer, _size = ctypes.c_void_p, ctypes.c_size_t
_int_out, _pointer_out = ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_void_p)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cudaDeviceGetAttribute": (_int_out, ctypes.c_int, ctypes.c_int),
    "cudaFree": (_pointer,),
    "cudaFreeHost": (_pointer,),
    "cudaGetDeviceCount": (_int_out,),
    "cudaHostAlloc": (_pointer_out, _size, ctypes.c_uint),
    "cudaMalloc": (_pointer_out, _size),
    "cudaMemcpyAsync": (_pointer, _pointer, _size, ctypes.c_int, _pointer),
    "cudaStreamCreateWithFlags": (_pointer_out, ctypes.c_uint),
    "cudaStreamDestroy": (_pointer,),
    "cudaStreamSynchronize": (_pointer,),
}


@dataclass(frozen=True)
class Gpu:
    """Name a GPU and its compute capability, as in ``8.7``."""

    name: str
    compute: str


@dataclass(frozen=True)
class Pair:
    """Hold memory of one tensor on both sides: pinned on the host, so that copies need no detour, and on the device."""

    host: int
    device: int
    size_bytes: int

    def view(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return the host's side as an array, from its beginning."""
        kind = np.dtype(dtype)
        size_bytes = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        if size_bytes > self.size_bytes:
            raise EngineError(
                f"A tensor of the shape {shape} does not fit into the {self.size_bytes} bytes kept for it."
            )
        raw = memoryview((ctypes.c_ubyte * size_bytes).from_address(self.host))
        whole: npt.NDArray[Any] = np.frombuffer(raw, dtype=kind)
        return whole.reshape(shape)


def open_cudart() -> Cudart:
    """Load the CUDA runtime and see that there is a GPU."""
    for name in (*_NAMES, *_in_wheels()):
        with contextlib.suppress(OSError, AttributeError):
            return Cudart(ctypes.CDLL(name))
    raise EnvironmentFault(
        "TensorRT needs the CUDA runtime (libcudart), which is not here; on a Jetson JetPack brings it. "
        "Type: sudo apt install nvidia-jetpack"
    )


def _in_wheels() -> Iterator[str]:
    for folder in sys.path:
        for wheel in _WHEELS:
            yield from map(str, sorted(Path(folder, wheel).glob("libcudart.so.*")))


class Cudart:
    """Wrap one loaded library. The device is the first that CUDA shows (``CUDA_VISIBLE_DEVICES`` chooses)."""

    def __init__(self, library: Any) -> None:
        self._library = library
        for name, arguments in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, ctypes.c_int
        library.cudaGetErrorString.argtypes = (ctypes.c_int,)
        library.cudaGetErrorString.restype = ctypes.c_char_p

    def gpu(self) -> Gpu:
        """Return the GPU, or say that there is none."""
        count = ctypes.c_int()
        code = self._library.cudaGetDeviceCount(ctypes.byref(count))
        if code or not count.value:
            why = self._said(code) if code else "none was found"
            raise EnvironmentFault(f"CUDA shows no GPU here: {why}. Run this on the device that the bundle is for.")
        # CUDA 12 calls the newer layout _v2; the name stands first in each.
        describe = getattr(self._library, "cudaGetDeviceProperties_v2", None) or self._library.cudaGetDeviceProperties
        properties = ctypes.create_string_buffer(_PROPERTIES_BYTES)
        self._check(describe(properties, 0), "describe the GPU")
        name = properties.raw[:_NAME_BYTES].split(b"\0")[0].decode("utf-8", "replace")
        return Gpu(name or "unnamed GPU", f"{self._attribute(_MAJOR)}.{self._attribute(_MINOR)}")

    def _attribute(self, number: int) -> int:
        value = ctypes.c_int()
        self._check(self._library.cudaDeviceGetAttribute(ctypes.byref(value), number, 0), "describe the GPU")
        return value.value

    @contextlib.contextmanager
    def stream(self) -> Iterator[int]:
        """Give a stream of its own, which waits for no other."""
        handle = ctypes.c_void_p()
        self._check(self._library.cudaStreamCreateWithFlags(ctypes.byref(handle), _NON_BLOCKING), "make a stream")
        try:
            yield handle.value or 0
        finally:
            self._library.cudaStreamDestroy(handle)

    @contextlib.contextmanager
    def pair(self, size_bytes: int) -> Iterator[Pair]:
        """Give memory on both sides."""
        host, device = ctypes.c_void_p(), ctypes.c_void_p()
        what = f"reserve {size_bytes} bytes"
        self._check(self._library.cudaHostAlloc(ctypes.byref(host), max(1, size_bytes), 0), what)
        try:
            self._check(self._library.cudaMalloc(ctypes.byref(device), max(1, size_bytes)), what)
            try:
                yield Pair(host.value or 0, device.value or 0, size_bytes)
            finally:
                self._library.cudaFree(device)
        finally:
            self._library.cudaFreeHost(host)

    def to_device(self, pair: Pair, size_bytes: int, stream: int) -> None:
        """Start to copy the first bytes to the device."""
        code = self._library.cudaMemcpyAsync(pair.device, pair.host, size_bytes, _TO_DEVICE, stream)
        self._check(code, "copy the input")

    def to_host(self, pair: Pair, size_bytes: int, stream: int) -> None:
        """Start to copy the first bytes to the host."""
        code = self._library.cudaMemcpyAsync(pair.host, pair.device, size_bytes, _TO_HOST, stream)
        self._check(code, "copy the output")

    def wait(self, stream: int) -> None:
        """Wait until all that was started on a stream is done; what went wrong in it is told here."""
        self._check(self._library.cudaStreamSynchronize(stream), "run the model")

    def _check(self, code: int, what: str) -> None:
        if code:
            raise EngineError(f"CUDA could not {what}: {self._said(code)} (error {code}).")

    def _said(self, code: int) -> str:
        text = self._library.cudaGetErrorString(code)
        return text.decode("utf-8", "replace") if text else "no reason given"
