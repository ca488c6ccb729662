"""Find the native library, check it, and call it; no other file knows ctypes.

The library is looked for where ``EDGEVIT_KERNELS_LIBRARY`` says, then in every folder of ``edgevit.kernels.__path__``
(an editable install has two). One of another age, or one that does not load, is refused: its answers could be wrong.
ctypes lets other threads run during a call.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import EngineError, EnvironmentFault

from .forms import Floats, Pixels, Planes, Source
from .weights import Axis

ABI = 2
ARCHITECTURES = {"scalar": 0, "avx2": 1, "neon": 2}
_LAYOUTS = {"nv12": 0, "i420": 1, "yuyv": 2}
_FAULTS = {1: "an argument that the library refuses", 2: "not enough memory", 3: "an architecture this machine lacks"}
_FILE = {"darwin": "libedgevit_kernels.dylib", "win32": "edgevit_kernels.dll"}.get(
    sys.platform, "libedgevit_kernels.so"
)


class LibraryError(EnvironmentFault):
    """The library is there but cannot be used; ``choice.py`` turns it into a warning or an error."""


class _Source(ctypes.Structure):
    _fields_ = [
        ("pixels", ctypes.c_void_p),
        ("row_stride", ctypes.c_ssize_t),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("pixel_stride", ctypes.c_int32),
        ("channels", ctypes.c_int32 * 3),
    ]


class _Axis(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_int32),
        ("taps", ctypes.c_int32),
        ("starts", ctypes.c_void_p),
        ("weights", ctypes.c_void_p),
    ]


_INT, _GAP, _POINTER = ctypes.c_int32, ctypes.c_ssize_t, ctypes.c_void_p
_WALK = [_INT, ctypes.POINTER(_Source), ctypes.POINTER(_Axis), ctypes.POINTER(_Axis)]
_SIGNATURES = {
    "arch_available": [_INT],
    "arch_best": [],
    "weights": [_INT, _INT, _INT, _INT, _INT, _INT, _INT, _POINTER, _POINTER],
    "taps": [_INT, _INT, _INT, _INT],
    "resample": [*_WALK, _POINTER, _GAP],
    "prepare": [*_WALK, _POINTER, _POINTER, _GAP, _GAP, _GAP],
    "normalise": [_POINTER, _GAP, _INT, _INT, _POINTER, _POINTER, _GAP, _GAP, _GAP],
    "rgb": [_INT, _INT, _POINTER, _GAP, _POINTER, _POINTER, _GAP, _INT, _INT, _POINTER, _GAP],
}


def find(named: str) -> Path | None:
    """Return the library's path, or None; ``named`` comes from the environment and goes before all else."""
    if named:
        return Path(named)
    folders = [Path(folder) for folder in sys.modules[__package__].__path__]
    return next((folder / _FILE for folder in folders if (folder / _FILE).is_file()), None)


class Library:
    """Hold the opened library and its checked functions."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            opened = ctypes.CDLL(str(path))
            self.abi = int(opened.edgevit_kernels_abi())
        except (OSError, AttributeError) as exc:
            raise LibraryError(f"{path} cannot be opened as edgevit's kernels ({exc})") from exc
        if self.abi != ABI:
            raise LibraryError(f"{path} is of ABI {self.abi}, this edgevit needs {ABI}")
        self._calls = {name: getattr(opened, f"edgevit_kernels_{name}") for name in _SIGNATURES}
        for name, arguments in _SIGNATURES.items():
            self._calls[name].argtypes = arguments
            self._calls[name].restype = ctypes.c_int32

    def architectures(self) -> tuple[str, ...]:
        """Name the forms that this library holds and this processor runs, the best one last."""
        return tuple(name for name, arch in ARCHITECTURES.items() if self._calls["arch_available"](arch))

    def best(self) -> str:
        """Name the form that the library would choose."""
        number = self._calls["arch_best"]()
        return next(name for name, arch in ARCHITECTURES.items() if arch == number)

    def ask(self, name: str, *arguments: object) -> int:
        """Call a function that answers with a number."""
        return int(self._calls[name](*arguments))

    def call(self, name: str, *arguments: object) -> None:
        """Call a function that answers with a fault; any but zero is raised."""
        fault = self.ask(name, *arguments)
        if fault:
            raise EngineError(
                f"The native kernels refused '{name}': {_FAULTS.get(fault, f'fault {fault}')}. "
                "Set EDGEVIT_KERNELS=numpy to go on without them, and report this."
            )


class NativeForm:
    """Be one architecture of the library."""

    def __init__(self, library: Library, name: str) -> None:
        self.name = name
        self.library = library
        self._arch = ARCHITECTURES[name]

    def resample(self, source: Source, x: Axis, y: Axis, out: Pixels | Floats, table: Floats | None) -> None:
        """Fill ``out`` in one walk over the frame."""
        height, width, bytes_per_pixel = source.pixels.shape
        frame = _Source(
            source.pixels.ctypes.data,
            source.pixels.strides[0],
            width,
            height,
            bytes_per_pixel,
            (ctypes.c_int32 * 3)(*source.channels),
        )
        walk = (self._arch, ctypes.byref(frame), ctypes.byref(_axis(x)), ctypes.byref(_axis(y)))
        if table is None:
            self.library.call("resample", *walk, out.ctypes.data, out.strides[0])
        else:
            self.library.call("prepare", *walk, table.ctypes.data, *_strided(out))

    def normalise(self, pixels: Pixels, table: Floats, out: Floats) -> None:
        """Fill ``out`` through the table."""
        height, width = pixels.shape[:2]
        self.library.call(
            "normalise", pixels.ctypes.data, pixels.strides[0], width, height, table.ctypes.data, *_strided(out)
        )

    def rgb(self, planes: Planes, out: Pixels) -> None:
        """Fill ``out`` row by row."""
        height, width = planes.luma.shape
        luma, u, v = planes.luma, planes.u, planes.v
        self.library.call(
            "rgb", self._arch, _LAYOUTS[planes.layout], luma.ctypes.data, luma.strides[0], u.ctypes.data,
            v.ctypes.data, u.strides[0], width, height, out.ctypes.data, out.strides[0],
        )  # fmt: skip


def _axis(axis: Axis) -> _Axis:
    return _Axis(axis.size, axis.taps, axis.starts.ctypes.data, axis.weights.ctypes.data)


def _strided(out: NDArray[np.generic]) -> tuple[int, int, int, int]:
    channel, row, column = (stride // out.itemsize for stride in out.strides)
    return out.ctypes.data, channel, row, column
