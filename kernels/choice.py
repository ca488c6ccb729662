"""Choose the form of the kernels, once: what ``EDGEVIT_KERNELS`` asks for, else the best that this machine has.

``EDGEVIT_KERNELS`` is ``numpy``, ``scalar``, ``avx2`` or ``neon``. A wish that cannot be met is an error;
without a wish a missing library means numpy in silence, and a damaged or outdated one means numpy with a warning.
"""

from __future__ import annotations

import functools
import os
import platform
import warnings
from pathlib import Path
from typing import Any

from edgevit.errors import EnvironmentFault, UnknownNameError

from .forms import Form
from .library import ARCHITECTURES, Library, LibraryError, NativeForm, find
from .reference import NumpyForm

WISH, PLACE = "EDGEVIT_KERNELS", "EDGEVIT_KERNELS_LIBRARY"
_WORTH_KNOWING = {"avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "neon", "asimd", "asimddp", "i8mm", "sve"}


def active() -> Form:
    """Return the form in use; the environment is read at every call, the library is opened once."""
    return _chosen(os.environ.get(WISH, ""), os.environ.get(PLACE, ""))


def status() -> dict[str, Any]:
    """Report for ``doctor``: the form in use, the library, its architectures, the processor, and what went wrong."""
    library, fault = _opened(os.environ.get(PLACE, ""))
    return {
        "implementation": active().name,
        "requested": os.environ.get(WISH) or None,
        "library": str(library.path) if library else None,
        "architectures": ["numpy", *(library.architectures() if library else ())],
        "machine": platform.machine(),
        "cpu_features": sorted(_processor_flags() & _WORTH_KNOWING),
        "fault": fault,
    }


@functools.lru_cache(maxsize=8)
def _chosen(wish: str, place: str) -> Form:
    if wish and wish != "numpy" and wish not in ARCHITECTURES:
        known = ", ".join(["numpy", *ARCHITECTURES])
        raise UnknownNameError(f"{WISH} is '{wish}', which no kernels are called. Set one of: {known}; or unset it.")
    if wish == "numpy":
        return NumpyForm()
    library, fault = _opened(place)
    if wish:
        return _wished(wish, library, fault)
    if library:
        return NativeForm(library, library.best())
    if fault:
        warnings.warn(f"{fault}; numpy does the work, slower. Reinstall edgevit.", RuntimeWarning, stacklevel=2)
    return NumpyForm()


def _wished(wish: str, library: Library | None, fault: str | None) -> Form:
    if library is None:
        reason = fault or f"edgevit was installed without its native library, and {PLACE} names none"
        raise EnvironmentFault(f"{WISH} asks for '{wish}', but {reason}. Unset it, or set {WISH}=numpy.")
    have = library.architectures()
    if wish not in have:
        raise EnvironmentFault(f"{WISH} asks for '{wish}', which this machine lacks. It has: numpy, {', '.join(have)}.")
    return NativeForm(library, wish)


@functools.lru_cache(maxsize=8)
def _opened(place: str) -> tuple[Library | None, str | None]:
    path = find(place)
    if path is None:
        return None, None
    try:
        return Library(path), None
    except LibraryError as exc:
        return None, str(exc)


def _processor_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return {"neon"} if platform.machine() in ("arm64", "aarch64") else set()
    named = (line.partition(":") for line in lines)
    return {flag for key, _, value in named if key.strip() in ("flags", "Features") for flag in value.split()}
