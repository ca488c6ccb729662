"""Read the facts of the machine we run on: cores, instruction sets, memory. What cannot be read stays absent."""

from __future__ import annotations

import dataclasses
import os
import platform
from pathlib import Path

from .device import Cpu, Device, Soc

_CPUINFO = Path("/proc/cpuinfo")
_BOARD = Path("/proc/device-tree/model")
_MAKERS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD"}

_WORD_OF_FLAG = {
    "sse4_2": "sse4.2",
    "avx": "avx",
    "avx2": "avx2",
    "fma": "fma",
    "f16c": "f16c",
    "avx512f": "avx512",
    "avx512_fp16": "avx512-fp16",
    "avx_vnni": "vnni",
    "avx512_vnni": "vnni",
    "avx512_bf16": "bf16",
    "amx_tile": "amx",
    "asimd": "neon",
    "asimdhp": "fp16",
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
    "sve2": "sve2",
    "sme": "sme",
}
"""What the kernel calls it -> what a device file calls it."""


def fill_host(device: Device) -> Device:
    """Return the device with the facts of this machine wherever its file has none."""
    text = _read(_CPUINFO)
    return dataclasses.replace(
        device,
        soc=device.soc or _soc(text, _read(_BOARD)),
        cpu=device.cpu or Cpu(cores=os.cpu_count(), isa=isa_of(text, platform.machine())),
        memory_gib=device.memory_gib or _memory_gib(),
    )


def isa_of(cpuinfo: str, machine: str) -> tuple[str, ...]:
    """Return the instruction sets that ALL processors of a ``/proc/cpuinfo`` have, in a fixed order."""
    base = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "armv8-a", "arm64": "armv8-a"}.get(machine.lower())
    cores = [_values(line) for line in cpuinfo.splitlines() if _key(line) in ("flags", "Features")]
    shared = set.intersection(*cores) if cores else set()
    words = {word for flag, word in _WORD_OF_FLAG.items() if flag in shared}
    if base == "armv8-a":
        words.add("neon")  # Every 64-bit Arm has it, also where there is no /proc/cpuinfo (macOS).
    found = [word for word in dict.fromkeys(_WORD_OF_FLAG.values()) if word in words]
    return tuple([base, *found] if base else found)


def _soc(cpuinfo: str, board: str) -> Soc | None:
    fields = {_key(line): line.partition(":")[2].strip() for line in reversed(cpuinfo.splitlines())}
    name = board.strip("\0 \n") or fields.get("model name") or platform.processor()
    # On some systems platform.processor() only repeats the architecture, which names no chip.
    if not name or name in (platform.machine(), "arm", "i386", "unknown"):
        return None
    return Soc(name, _MAKERS.get(fields.get("vendor_id", "")))


def _memory_gib() -> tuple[float, ...]:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, other systems lack the names.
        return ()
    return (max(round(size / 2**30, 1), 0.1),) if size > 0 else ()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _key(line: str) -> str:
    return line.partition(":")[0].strip()


def _values(line: str) -> set[str]:
    return set(line.partition(":")[2].split())
