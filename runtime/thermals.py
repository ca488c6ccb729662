"""Read how fast and how hot the machine runs right now, where Linux tells it; elsewhere it stays unknown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_SYS = Path("/sys")


def clock_mhz(root: Path = _SYS) -> float | None:
    """Return the mean clock of all cores in MHz."""
    khz = list(_numbers(root, "devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"))
    return round(sum(khz) / len(khz) / 1000, 0) if khz else None


def temperature_c(root: Path = _SYS) -> float | None:
    """Return the hottest zone in degrees Celsius; zones that read nonsense are left out."""
    found = [n / 1000 for n in _numbers(root, "class/thermal/thermal_zone*/temp")]
    return max((round(t, 1) for t in found if 0 < t < 150), default=None)


def _numbers(root: Path, pattern: str) -> Iterator[float]:
    for path in sorted(root.glob(pattern)):
        try:
            yield float(path.read_text())
        except (OSError, ValueError):  # a zone may be there and refuse to be read
            continue
