"""Turn the bytes of a picture file into pixels and back, through Pillow, or OpenCV where there is no Pillow.

Both roads give the same (height, width, 3) array of uint8 in RGB order, upright as EXIF says, without alpha; lossy
formats may differ by a few grey levels, as their decoders do. Sixteen-bit greys keep their upper byte on both roads:
Pillow's own conversion would clip them to white. Neither library is imported before the first picture.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import EdgevitError, InputError, UsageError, missing

U8 = npt.NDArray[np.uint8]

MAX_PIXELS = 178_956_970  # where Pillow itself stops: half a gigabyte as RGB, and more than any camera's single shot
LONGEST_SIDE = 1 << 20
"""What ``edgevit.kernels`` take. Pillow keeps an address a row, so that tall pictures are larger than their pixels."""
PILLOW_FORMATS = {
    ".bmp": "BMP",
    ".jfif": "JPEG",
    ".jpe": "JPEG",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".png": "PNG",
    ".ppm": "PPM",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""The suffixes that can be written, and what Pillow calls their formats."""

_QUALITY = 92
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_END, _JPEG_SCAN = b"\xff\xd9", 0xDA


def decode(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> U8:
    """Return the pixels of a picture; ``name`` is what the messages call it."""
    try:
        from PIL import Image
    except ImportError:
        return _decode_with_opencv(data, name, max_pixels)
    return _decode_with_pillow(Image, data, name, max_pixels)


def encode(rgb: U8, suffix: str) -> bytes:
    """Return the bytes of a picture file of the format that the suffix (``.png``) says."""
    try:
        from PIL import Image
    except ImportError:
        return _encode_with_opencv(rgb, suffix)
    buffer = io.BytesIO()
    kind = PILLOW_FORMATS[suffix]
    options: dict[str, Any] = {"JPEG": {"quality": _QUALITY, "subsampling": 0}, "WEBP": {"quality": _QUALITY}}.get(
        kind, {}
    )
    try:
        Image.fromarray(rgb).save(buffer, kind, **options)
    except Exception as exc:  # each format has limits of its own, and words of its own for them
        raise UsageError(f"A picture of {rgb.shape[1]} x {rgb.shape[0]} cannot be written as {suffix}: {exc}.") from exc
    return buffer.getvalue()


def encode_jpeg(rgb: U8, quality: int) -> bytes:
    """Return a small JPEG for a screen: colours at half the resolution, and a quality of 1 to 95."""
    try:
        from PIL import Image
    except ImportError:
        cv2 = _opencv()
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        return bytes(cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), options)[1])
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality, subsampling=2)
    return buffer.getvalue()


def _decode_with_pillow(image_module: Any, data: bytes, name: str, max_pixels: int) -> U8:
    try:
        with image_module.open(io.BytesIO(data)) as image:
            _check_size(image.width, image.height, name, max_pixels)
            return _upright_rgb(image)
    except EdgevitError:
        raise
    except image_module.DecompressionBombError as exc:
        raise _too_large(name, "more", min(max_pixels, MAX_PIXELS)) from exc
    except image_module.UnidentifiedImageError as exc:
        raise _not_a_picture(name) from exc
    except Exception as exc:  # decoders of hostile bytes raise whatever comes to them
        raise InputError(f"The picture {name} is damaged or cut short: {_clause(exc)}. Copy it again.") from exc


def _upright_rgb(image: Any) -> U8:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode == "F":
        raise InputError(
            "A picture of floating-point numbers has no agreed white. Save it with 8 or 16 bits a channel."
        )
    if upright.mode.startswith("I"):
        grey = np.clip(np.asarray(upright).astype(np.int32) >> 8, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.array(upright.convert("RGB"), dtype=np.uint8)


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as exc:
        raise missing("pillow", "Reading and writing pictures", "image") from exc
    return cv2


def _decode_with_opencv(data: bytes, name: str, max_pixels: int) -> U8:
    cv2 = _opencv()
    _check_by_header(data, name, max_pixels)
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except Exception as exc:
        raise InputError(f"The picture {name} cannot be decoded: {_clause(exc)}.") from exc
    if bgr is None:
        raise _not_a_picture(name)
    _check_size(bgr.shape[1], bgr.shape[0], name, max_pixels)
    return np.ascontiguousarray(bgr[..., ::-1])


def _encode_with_opencv(rgb: U8, suffix: str) -> bytes:
    cv2 = _opencv()
    options = {
        "JPEG": [cv2.IMWRITE_JPEG_QUALITY, _QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111],
        "WEBP": [cv2.IMWRITE_WEBP_QUALITY, _QUALITY],
    }.get(PILLOW_FORMATS[suffix], [])
    try:
        done, data = cv2.imencode(
            ".jpg" if suffix == ".jfif" else suffix, np.ascontiguousarray(rgb[..., ::-1]), options
        )
    except Exception as exc:
        raise UsageError(f"OpenCV cannot write {suffix}: {_clause(exc)}. Type: pip install 'edgevit[image]'") from exc
    if not done:
        raise UsageError(f"A picture of {rgb.shape[1]} x {rgb.shape[0]} cannot be written as {suffix}.")
    return bytes(data)


def _check_by_header(data: bytes, name: str, max_pixels: int) -> None:
    """Find out what OpenCV does not tell before it decodes: how large a PNG or JPEG is, and whether it is whole."""
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        _check_size(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"), name, max_pixels)
        whole = b"IEND" in data[24:]
    elif data.startswith(b"\xff\xd8"):
        whole = _walk_jpeg(data, name, max_pixels)
    else:
        return
    if not whole:
        raise InputError(f"The picture {name} is damaged or cut short: its end is missing. Copy it again.")


def _walk_jpeg(data: bytes, name: str, max_pixels: int) -> bool:
    """Check the size of a JPEG, and return whether its end follows its scan (a thumbnail has an end of its own)."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _JPEG_SIZES:
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            _check_size(width, height, name, max_pixels)
        if marker == _JPEG_SCAN:
            return data.find(_JPEG_END, at) >= 0
        at += 2 + length if marker != 0xFF else 1
    return False


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise _too_large(name, f"{width} x {height}", max_pixels)
    if max(width, height) > LONGEST_SIDE:
        raise InputError(f"The picture {name} is {width} x {height}; at most {LONGEST_SIDE} pixels a side are read.")


def _too_large(name: str, size: str, max_pixels: int) -> InputError:
    return InputError(
        f"The picture {name} has {size} pixels; at most {max_pixels} are read, so that a small file cannot fill the "
        f"memory. Scale it down first."
    )


def _not_a_picture(name: str) -> InputError:
    return InputError(f"{name} is not a picture, or is of a kind that is not known here. Save it as JPEG or PNG.")


def _clause(exc: Exception) -> str:
    """Return a foreign message as the end of a sentence."""
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0].rstrip(".") or type(exc).__name__
