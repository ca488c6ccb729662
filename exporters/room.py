"""Make sure of room on the disk where a tool's own writer cannot be trusted to say that there is none.

LiteRT's converter ends the whole process when its output is full, ONNX Runtime says "Protobuf serialization failed",
and OpenVINO "iostream error", whatever it was.
"""

from __future__ import annotations

from pathlib import Path

_CHUNK_BYTES = 1 << 20
_PROBE = "room"


def ask_for_room(folder: Path, size_bytes: int) -> None:
    """Write as much as a file will take, take it away again, and let the system's own error out."""
    probe = folder / _PROBE
    try:
        with probe.open("wb") as sink:
            for _ in range(size_bytes // _CHUNK_BYTES + 1):
                sink.write(bytes(_CHUNK_BYTES))
    finally:
        probe.unlink(missing_ok=True)
