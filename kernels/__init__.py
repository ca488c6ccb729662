"""MAKE it fast: image kernels without torch, each with one signature and two forms, numpy and native.

Rule of the room: numpy is the oracle, native must equal it to the bit. Importing this folder loads numpy and nothing
more; the native library is opened by the first call. ``rewrites`` and ``cuda`` alone know torch and are not imported.
"""

from .choice import status as status
from .crops import CROP as CROP
from .crops import LONGEST_SQUARE as LONGEST_SQUARE
from .crops import cut_square as cut_square
from .crops import fade_outside as fade_outside
from .frames import PixelFormat as PixelFormat
from .frames import to_rgb as to_rgb
from .image import PREPROCESS as PREPROCESS
from .image import normalise as normalise
from .image import prepare as prepare
from .image import prepare_uint8 as prepare_uint8
from .image import resize as resize

__all__ = [
    "CROP",
    "LONGEST_SQUARE",
    "PREPROCESS",
    "PixelFormat",
    "cut_square",
    "fade_outside",
    "normalise",
    "prepare",
    "prepare_uint8",
    "resize",
    "status",
    "to_rgb",
]
