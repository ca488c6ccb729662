"""Tell what this machine has, what is missing, and the pip line for it. It looks; it changes nothing."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ..archive import cache_dir
from ..registry import door
from . import console
from .bundles import size_text
from .cameras import show
from .packages import OPTIONAL, PACKAGES, Package, older, version_of

HELP = """Tell what this machine has: versions, processor, native kernels, engines, exporters; and what is missing.

  edgevit doctor
  edgevit doctor --deep    also import each package, in a process of its own
  edgevit doctor --cameras only the cameras: names, formats, sizes, rates, and who uses them
  edgevit doctor --json    for a bug report"""

_IMPORT_LIMIT_S = 120.0
_SPELLED = {
    "cores_allowed": "for edgevit",
    "memory_bytes": "memory",
    "memory_free_bytes": "free",
    "cache_free_bytes": "free there",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--deep", action="store_true", help="import each package that is found, in a process of its own"
    )
    parser.add_argument("--cameras", action="store_true", help="list the cameras instead")


def run(args: argparse.Namespace) -> int:
    """Print the findings. Something missing is an answer, not an error."""
    if args.cameras:
        return show(machine=args.json)
    machine, kernels = _machine(), _kernels()
    packages = [_look_at(package, deep=args.deep) for package in PACKAGES]
    if args.json:
        console.answer({**machine, "kernels": kernels, "packages": packages, "install": _pip_lines(packages)})
        return 0
    facts = [(_SPELLED.get(key, key), _text(value)) for key, value in machine.items() if value not in (None, [])]
    console.facts([*facts, ("kernels", _kernels_text(kernels))])
    console.say()
    console.table(("package", "version", "needed to", "state"), [_row(p) for p in packages])
    lines = _pip_lines(packages)
    if lines:
        console.say("\nWhat is missing, and how to get it:")
        for line in lines:
            console.say(f"  {line}")
    if not any(p["version"] and p["purpose"].startswith("run ") for p in packages):
        console.say("\nNo engine is installed: nothing can be run. Type: pip install 'edgevit[onnx,image]'")
    return 0


def _machine() -> dict[str, Any]:
    from .. import __version__

    host = door("edgevit.devices:load_device")("host")
    cache = cache_dir()
    return {
        "edgevit": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "numpy": version_of(Package("numpy", ("numpy",), "", "")) or "missing",
        "system": f"{platform.system()} {platform.release()} on {platform.machine()}",
        "processor": host.soc.name if host.soc else "unknown",
        "instructions": list(host.cpu.isa) if host.cpu else [],
        "cores": os.cpu_count(),
        "cores_allowed": _allowed_cores(),
        "memory_bytes": _memory("MemTotal"),
        "memory_free_bytes": _memory("MemAvailable"),
        "cache": str(cache),
        "cache_free_bytes": _free_bytes(cache),
    }


def _allowed_cores() -> int | None:
    """Count the cores this process may use: in a container they are often fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def _memory(field: str) -> int | None:
    try:
        with Path("/proc/meminfo").open(encoding="ascii", errors="replace") as lines:
            return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)
    except OSError:
        pass
    if field != "MemTotal":
        return None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _free_bytes(folder: Path) -> int | None:
    """Return the space where the cache is, or will be: the nearest folder that exists."""
    there = next((p for p in (folder, *folder.absolute().parents) if p.is_dir()), Path("/"))
    try:
        return shutil.disk_usage(there).free
    except OSError:
        return None


def _kernels() -> dict[str, Any]:
    """Ask the kernels; a doctor must not die of what it finds."""
    try:
        status: dict[str, Any] = door("edgevit.kernels:status")()
        return status
    except Exception as fault:
        return {"fault": f"{type(fault).__name__}: {fault}"}


def _kernels_text(status: dict[str, Any]) -> str:
    able = ", ".join(status.get("architectures", [])) or "-"
    text = f"{status.get('implementation', 'none')} (this machine runs: {able})"
    return f"{text}\nfault: {status['fault']}" if status.get("fault") else text


def _look_at(package: Package, *, deep: bool) -> dict[str, Any]:
    version = version_of(package)
    found: dict[str, Any] = {
        "package": package.name,
        "module": package.module,
        "version": version,
        "purpose": package.purpose,
        "extra": package.extra or None,
        "optional": package.module in OPTIONAL,
    }
    if version and version != "?" and package.minimum and older(version, package.minimum):
        found["too_old"] = f"needs {package.minimum} or newer"
    if deep and version:
        found |= _try_import(package.module)
    return found


def _try_import(module: str) -> dict[str, Any]:
    """Import a module in another process: one that crashes there does no harm here."""
    began = time.perf_counter()
    try:
        ended = subprocess.run(
            [sys.executable, "-c", f"import {module}"], capture_output=True, timeout=_IMPORT_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"import_fault": f"importing it took more than {_IMPORT_LIMIT_S:.0f} s"}
    if ended.returncode:
        words = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        return {"import_fault": words[-1] if words else f"the process ended with {ended.returncode}"}
    return {"import_s": round(time.perf_counter() - began, 2)}


def _row(found: dict[str, Any]) -> tuple[str, str, str, str]:
    state = "found" if found["version"] else ("not needed" if found["optional"] else "missing")
    state = found.get("too_old", state)
    if "import_s" in found:
        state += f", imported in {found['import_s']} s"
    return (found["package"], found["version"] or "-", found["purpose"], found.get("import_fault", state))


def _pip_lines(packages: list[dict[str, Any]]) -> list[str]:
    """Return one line an extra, since extras are what a user installs."""
    wanted: dict[str, list[str]] = {}
    for found in packages:
        if not found["optional"] and (not found["version"] or "too_old" in found):
            wanted.setdefault(found["extra"], []).append(found["package"])
    return [f"pip install 'edgevit[{extra}]'  # {', '.join(names)}" for extra, names in wanted.items()]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return size_text(value) if isinstance(value, int) and value > 10**6 else str(value)
