"""Write the clip that the measurements decode: H.264 of moving textures, its pictures numbered like the camera's."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

from .camera import SERVER


def write_clip(path: Path, size: str, frames: int, *, fps: int = 30, movflags: str = "") -> Path:
    """Encode it once; the path comes back."""
    import av

    sys.path.insert(0, str(SERVER.parent))
    from rtsp_server import street

    width, height = map(int, size.split("x"))
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "23", "g": str(fps)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(street(number, (width, height)), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path
