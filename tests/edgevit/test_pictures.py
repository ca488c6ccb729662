"""Picture files, read on both roads, written whole, listed in order, and refused with a sentence each."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from edgevit import pictures
from edgevit.errors import EnvironmentFault, InputError, MissingDependencyError, UnsupportedError, UsageError
from edgevit.pictures import list_pictures, read_picture, write_picture

U8 = npt.NDArray[np.uint8]
ROADS = ("pillow", "opencv")


def corners() -> U8:
    """Return a picture whose corners tell every turn and every colour order apart."""
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[:20, :30], rgb[:20, 30:], rgb[20:, :30] = (250, 10, 20), (20, 240, 30), (30, 20, 230)
    return rgb


@pytest.fixture(params=ROADS)
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test once with Pillow and once as if it were not installed."""
    if request.param == "opencv":
        pytest.importorskip("cv2")
        monkeypatch.setitem(sys.modules, "PIL", None)
    return str(request.param)


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make files of the awkward kinds with Pillow; the scope sees to it that no test has hidden it yet."""
    tmp_path = tmp_path_factory.mktemp("samples")
    rgb = Image.fromarray(corners())
    rng = np.random.default_rng(0)
    rgba = Image.fromarray(rng.integers(0, 256, (40, 60, 4), dtype=np.uint8), "RGBA")
    deep = (np.arange(40 * 60, dtype=np.uint16) * 27).reshape(40, 60)
    made = {
        "rgba": save(tmp_path / "rgba.png", rgba),
        "la": save(tmp_path / "la.png", rgba.convert("LA")),
        "palette": save(tmp_path / "palette.png", rgb.quantize(4), transparency=0),
        "bilevel": save(tmp_path / "bilevel.png", rgb.convert("1")),
        "grey": save(tmp_path / "grey.jpg", rgb.convert("L")),
        "deep": save(tmp_path / "deep.png", Image.fromarray(deep)),
        "cmyk": save(tmp_path / "cmyk.jpg", rgba.convert("RGB").convert("CMYK"), quality=95),
        "gif": save(tmp_path / "still.gif", rgb.quantize(8)),
        "webp": save(tmp_path / "lossless.webp", rgb, lossless=True),
        "misnamed": save(tmp_path / "misnamed.jpg", rgb, format="PNG"),
    }
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        made[f"exif{orientation}"] = save(
            tmp_path / f"exif{orientation}.jpg", rgb, quality=95, subsampling=0, exif=exif
        )
    return made


@pytest.fixture(scope="module")
def converted(samples: dict[str, Path]) -> dict[str, U8]:
    """Return what Pillow itself makes of the files."""
    pixels = {}
    for kind, path in samples.items():
        with Image.open(path) as image:
            pixels[kind] = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    return pixels


EXPECTED_KINDS = ("rgba", "la", "palette", "bilevel", "grey", "cmyk", "gif", "webp", "misnamed")


@pytest.mark.parametrize("kind", [*EXPECTED_KINDS, *(f"exif{n}" for n in range(1, 9))])
def test_every_kind_reads_as_pillow_converts_it(
    kind: str, samples: dict[str, Path], converted: dict[str, U8], road: str
) -> None:
    expected = converted[kind]
    got = read_picture(samples[kind])
    assert got.dtype == np.uint8
    assert got.shape == expected.shape
    assert got.flags.writeable
    tolerance = 3 if samples[kind].suffix == ".jpg" and road == "opencv" else 0
    assert int(np.abs(got.astype(int) - expected).max()) <= tolerance


def test_sixteen_bit_grey_keeps_its_upper_byte_and_is_not_clipped_to_white(samples: dict[str, Path], road: str) -> None:
    got = read_picture(samples["deep"])
    expected = ((np.arange(40 * 60) * 27) >> 8).reshape(40, 60)
    assert np.array_equal(got, np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
def test_lossless_files_come_back_exactly(suffix: str, tmp_path: Path, road: str) -> None:
    write_picture(tmp_path / f"x{suffix}", corners())
    assert np.array_equal(read_picture(tmp_path / f"x{suffix}"), corners())
    assert [p.name for p in tmp_path.iterdir()] == [f"x{suffix}"]


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".jfif", ".webp"])
def test_lossy_files_come_back_nearly(suffix: str, tmp_path: Path, road: str) -> None:
    write_picture(tmp_path / f"x{suffix}", corners())
    error = np.abs(read_picture(tmp_path / f"x{suffix}").astype(int) - corners())
    assert np.median(error) <= 4


def test_a_picture_cut_short_is_refused(tmp_path: Path, samples: dict[str, Path], road: str) -> None:
    for kind in ("exif6", "rgba"):
        data = samples[kind].read_bytes()
        cut = tmp_path / f"cut{samples[kind].suffix}"
        cut.write_bytes(data[: len(data) * 2 // 3])
        with pytest.raises(InputError, match=r"cut\.\w+ is damaged or cut short"):
            read_picture(cut)


def test_a_jpeg_with_a_whole_thumbnail_but_no_end_is_refused(tmp_path: Path, road: str) -> None:
    scan = b"\xff\xda\x00\x02" + b"\x11" * 200
    thumbnail = b"\xff\xe1" + struct.pack(">H", 12) + b"\xff\xd8\xff\xd9" + b"\0" * 6
    size = b"\xff\xc0\x00\x11\x08\x00\x10\x00\x10\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
    path = tmp_path / "x.jpg"
    path.write_bytes(b"\xff\xd8" + thumbnail + size + scan)
    with pytest.raises(InputError, match="damaged or cut short"):
        read_picture(path)


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG that promises many pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [14_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side: int, tmp_path: Path, road: str) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(side, side))
    with pytest.raises(InputError, match=r"bomb\.png has .* pixels; at most"):
        read_picture(path)


@pytest.mark.parametrize("size_wh", [(2, (1 << 20) + 1), ((1 << 20) + 1, 2)])
def test_a_picture_that_is_a_line_is_refused_before_it_is_decoded(
    size_wh: tuple[int, int], tmp_path: Path, road: str
) -> None:
    path = tmp_path / "line.png"
    path.write_bytes(bomb(*size_wh))
    with pytest.raises(InputError, match="at most 1048576 pixels a side are read"):
        read_picture(path)


def test_the_limit_of_pixels_can_be_set(samples: dict[str, Path], road: str) -> None:
    for kind in ("rgba", "exif1", "gif"):
        with pytest.raises(InputError, match="60 x 40 pixels; at most 2399"):
            read_picture(samples[kind], max_pixels=2399)
        assert read_picture(samples[kind], max_pixels=2400).shape == (40, 60, 3)


def test_each_way_to_fail_has_its_own_sentence(tmp_path: Path, road: str) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture at all")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    cases = {
        "empty.jpg": "is empty: the file has no bytes",
        "text.jpg": "is not a picture",
        "folder.jpg": "is a folder, not a picture",
        "pipe.jpg": "is a device or a pipe",
        "emty.jpg": r"There is no picture .*emty\.jpg\. Did you mean .*empty\.jpg\?",
        "no/such/x.jpg": r"There is no folder .*no\.",
    }
    for name, sentence in cases.items():
        with pytest.raises(InputError, match=sentence):
            read_picture(tmp_path / name)


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    write_picture(path, corners())

    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)  # a chmod would not stop root
    with pytest.raises(InputError, match=r"may not be read: permission denied\. Type: chmod"):
        read_picture(path)


def test_without_any_decoder_the_pip_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_picture(tmp_path / "x.png", corners())
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgevit\[image\]'"):
        read_picture(tmp_path / "x.png")
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgevit\[image\]'"):
        write_picture(tmp_path / "y.png", corners())


def test_an_unknown_suffix_is_not_written(tmp_path: Path) -> None:
    for name in ("x.xyz", "x", "x.gif"):
        with pytest.raises(UnsupportedError, match=r"suffix must be one of .*\.png"):
            write_picture(tmp_path / name, corners())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
)
def test_what_is_no_rgb_picture_is_not_written(bad: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be \(height, width, 3\) of uint8"):
        write_picture(tmp_path / "x.png", bad)


def test_a_picture_too_large_for_its_format_is_refused(tmp_path: Path, road: str) -> None:
    with pytest.raises(UsageError):
        write_picture(tmp_path / "x.webp", np.zeros((2, 17_000, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file_and_no_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.png"
    write_picture(path, corners())
    before = path.read_bytes()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(EnvironmentFault, match="No space left on device"):
        write_picture(path, corners()[::-1])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_writing_into_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file or directory"):
        write_picture(tmp_path / "no" / "x.png", corners())


def test_a_folder_is_listed_as_a_person_would(tmp_path: Path) -> None:
    for name in ("img10.jpg", "img2.JPG", "Img1.png", ".hidden.jpg", "notes.txt", "sub/a.jpg", ".git/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.name for p in list_pictures(tmp_path)] == ["Img1.png", "img2.JPG", "img10.jpg"]
    assert [p.name for p in list_pictures(tmp_path, recursive=True)] == ["Img1.png", "img2.JPG", "img10.jpg", "a.jpg"]


def test_listing_what_is_no_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"There is no folder .*photo\. Did you mean .*photos\?"):
        list_pictures(tmp_path / "photo")
    with pytest.raises(InputError, match="is a file, not a folder"):
        list_pictures(tmp_path / "file")


names = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=8)


@given(st.lists(st.lists(names, min_size=1, max_size=3).map(lambda parts: Path(*parts)), max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_names_can_be_put_in_order(paths: list[Path]) -> None:
    once = sorted(paths, key=pictures.natural_order)
    paths.reverse()
    assert sorted(paths, key=pictures.natural_order) == once


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_in_names_count(one: int, other: int) -> None:
    first, second = pictures.natural_order(Path(f"a/f{one}.jpg")), pictures.natural_order(Path(f"a/f{other}.jpg"))
    assert (first < second) == (one < other)
