"""Choose the hardware that decodes a stream, where this FFmpeg and this machine have any; else say that there is none.

Pictures come back from it as NV12, which the kernels read. Whether that is faster than the processor depends on both:
``hw`` is a wish, and never the default.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import av

_PROBE = "h264"
"""What every such decoder can do."""
_SOFTWARE = "the processor decodes"


def accelerator(wish: str) -> tuple[Any, str]:
    """Return PyAV's setting for a kind of hardware, or None and what is in the way."""
    if not hasattr(av.codec, "hwaccel"):
        return None, f"hw={wish} needs a newer PyAV; {_SOFTWARE}. Type: pip install --upgrade av"
    kinds = tuple(av.codec.hwaccel.hwdevices_available())
    if wish != "auto" and wish not in kinds:
        return None, f"hw={wish} is not in this FFmpeg, which has {', '.join(kinds) or 'none'}; {_SOFTWARE}"
    faults = {}
    for kind in kinds if wish == "auto" else (wish,):
        fault = _fault_of(kind)
        if fault is None:
            return av.codec.hwaccel.HWAccel(kind), ""
        faults[kind] = fault
    told = ", ".join(f"{kind}: {fault}" for kind, fault in faults.items())
    return None, f"hw={wish} finds no decoder that works ({told}); {_SOFTWARE}"


def used(stream: Any, wish: str) -> str:
    """Say so if the decoder that was opened is the processor's after all, as for a codec the hardware does not know."""
    context = stream.codec_context
    return "" if context.is_hwaccel else f"hw={wish} does not decode {context.name}; {_SOFTWARE}"


@cache
def _fault_of(kind: str) -> str | None:
    """Open the kind's device once; return what was wrong, None if nothing was."""
    try:
        context = av.CodecContext.create(_PROBE, "r", hwaccel=av.codec.hwaccel.HWAccel(kind))
    except (av.error.FFmpegError, OSError, ValueError, NotImplementedError) as exc:
        return str(getattr(exc, "strerror", None) or exc)
    return None if context.is_hwaccel else f"no {_PROBE}"
