"""A picture is known by its first bytes, and nothing else reaches a decoder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served_here import picture

from edgevit.apps.serve import kinds
from edgevit.decoders import decode
from edgevit.errors import InputError


@pytest.mark.parametrize(
    ("format_name", "kind"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("BMP", "image/bmp"),
        ("GIF", "image/gif"),
        ("TIFF", "image/tiff"),
        ("AVIF", "image/avif"),
        ("PPM", "image/x-portable-anymap"),
    ],
)
def test_what_is_written_here_is_known_here(format_name: str, kind: str) -> None:
    try:
        data = picture(format_name)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {format_name}")
    assert kinds.kind_of(data) == kind
    kinds.check_kind(data)
    assert decode(data, "it").shape == (24, 32, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"\xc5\xd0\xd3\xc6",
        b"%PDF-1.7",
        b"SIMPLE  =",
        b"<svg/>",
        b"\0\0\1\0",
        b"RIFF....WAVE",
    ],
)
def test_what_a_decoder_would_open_too_is_refused(data: bytes) -> None:
    """Of these one runs a program, and others were never meant for strangers' bytes."""
    with pytest.raises(InputError, match="not a picture"):
        kinds.check_kind(data + b"x" * 100)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_known_kind_or_a_sentence(data: bytes) -> None:
    if kinds.kind_of(data) is None:
        with pytest.raises(InputError):
            kinds.check_kind(data)
    else:
        kinds.check_kind(data)


def test_without_pillow_only_what_opencv_can_measure_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    kinds.check_kind(picture("PNG"))
    with pytest.raises(InputError, match=r"image/webp is not decoded.*pip install 'edgevit\[image\]'"):
        kinds.check_kind(picture("WEBP"))


def test_a_jpeg_of_ever_more_scans_is_refused_before_it_is_decoded() -> None:
    """Each scan goes through the whole picture again: a small file could keep an engine's thread busy for an hour."""
    data = picture("JPEG")
    kinds.check_kind(data + b"\xff\xda" * 999)
    with pytest.raises(InputError, match=r"more than 1000 scans\. Save it again, not progressive"):
        kinds.check_kind(data + b"\xff\xda" * 1000)
