"""Overlays at every size: legible, inside the picture, honest about untrained weights, on both roads of lettering."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevit.apps import canvas, draw, lettering
from edgevit.apps.draw import contact_sheet
from edgevit.errors import InputError, MissingDependencyError
from edgevit.runtime.frame import Frame
from edgevit.runtime.results import Classification, Speed

U8 = npt.NDArray[np.uint8]

NAMES = ("great grey owl, great gray owl, Strix nebulosa", "tench", "hen", "façade", "x", "cock")
SCORES = (0.87, 0.06, 0.03, 0.02, 0.015, 0.005)


@pytest.fixture(params=["pillow", "opencv"], autouse=True)
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Write with Pillow's font and with OpenCV's strokes; what was cached belongs to the other one."""
    if request.param == "opencv":
        pytest.importorskip("cv2")
        monkeypatch.setitem(sys.modules, "PIL", None)
    forget()
    yield str(request.param)
    forget()


def forget() -> None:
    lettering.ink.cache_clear()
    lettering._pillow_font.cache_clear()


def answer(size_hw: tuple[int, int], *, trained: bool = True, topk: int = 5, grey: int = 128) -> Classification:
    frame = Frame(np.full((*size_hw, 3), grey, np.uint8), "rgb", 0)
    return Classification(np.array(SCORES, np.float32), NAMES, frame, Speed(1, 1, 1), trained, topk)


def changed(result: Classification) -> npt.NDArray[np.bool_]:
    """Return which pixels the overlay touched."""
    return np.asarray((draw.draw(result) != result.frame.to_rgb()).any(axis=2))


SIZES = [(32, 32), (96, 96), (60, 900), (900, 60), (288, 384), (480, 640), (1080, 1920)]


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("trained", [True, False])
def test_the_overlay_leaves_the_picture_its_size_and_its_upper_part(size_hw: tuple[int, int], trained: bool) -> None:
    result = answer(size_hw, trained=trained)
    before = result.frame.data.copy()
    drawn = draw.draw(result)
    assert drawn.shape == (*size_hw, 3)
    assert drawn.dtype == np.uint8
    assert np.array_equal(result.frame.data, before)
    touched = changed(result)
    assert touched[-size_hw[0] // 2 :].any()
    banner = draw.Measures.of(size_hw).row if not trained else 0
    assert not touched[banner : size_hw[0] * 2 // 5].any()
    assert touched[:banner].all()


@pytest.mark.parametrize("size_hw", SIZES)
def test_text_stays_clear_of_the_edges(size_hw: tuple[int, int]) -> None:
    bright = draw.draw(answer(size_hw, grey=0)).min(axis=2) > 120  # letters alone are bright in all channels
    assert bright.any()
    assert not bright[:, 0].any()
    assert not bright[:, -1].any()
    assert not bright[-1].any()


def test_everything_grows_with_the_picture() -> None:
    letters = [draw.Measures.of((side, side * 16 // 9)).letter for side in (32, 96, 288, 480, 1080, 2160, 4320)]
    assert letters == sorted(letters)
    assert letters[0] >= 6
    assert 100 < letters[-1] < 160


def test_a_frame_of_8k_is_drawn() -> None:
    assert changed(answer((4320, 7680))).any()


@pytest.mark.parametrize("size_hw", [(1, 1), (11, 300), (300, 15), (4, 9)])
def test_where_no_letter_fits_the_picture_stays_as_it_is(size_hw: tuple[int, int]) -> None:
    assert not changed(answer(size_hw)).any()


@given(height=st.integers(1, 400), width=st.integers(1, 400), topk=st.integers(1, 9), trained=st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_shape_can_be_drawn(height: int, width: int, topk: int, trained: bool) -> None:
    assert draw.draw(answer((height, width), topk=topk, trained=trained)).shape == (height, width, 3)


def test_more_rows_for_more_classes_but_half_of_the_picture_at_most() -> None:
    heights = [int(changed(answer((480, 640), topk=k)).any(axis=1).sum()) for k in (1, 2, 5)]
    assert heights == sorted(set(heights))
    assert int(changed(answer((96, 300), topk=6)).any(axis=1).sum()) <= 50


def test_a_longer_bar_for_a_better_score() -> None:
    def teal(score: float) -> int:
        result = answer((480, 640), topk=1, grey=0)
        result.scores[0] = score
        pixels = draw.draw(result).astype(int)
        return int((pixels[..., 1] > pixels[..., 0] + 60).sum())

    areas = [teal(score) for score in (0.3, 0.6, 0.9)]
    assert areas[0] * 1.5 < areas[1] < areas[2]


def test_untrained_weights_are_told_in_the_longest_words_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    write = canvas.text

    def listen(onto: U8, top: int, left: int, words: str, size_px: int, colour: canvas.Colour) -> None:
        said.append(words)
        write(onto, top, left, words, size_px, colour)

    monkeypatch.setattr(draw, "text", listen)
    told = []
    for side in (24, 64, 200, 640):
        said.clear()
        draw.draw(answer((side, side), trained=False))
        told.append(said[0])
    assert told[-1] == draw.BANNERS[0]
    assert all(words in (*draw.BANNERS, "!") for words in told)
    assert [len(words) for words in told] == sorted(len(words) for words in told)


@pytest.mark.parametrize(("score", "words"), [(1, "100%"), (0.996, "100%"), (0.5, "50%"), (0.004, "<1%"), (0, "0%")])
def test_a_small_score_is_not_called_nothing(score: float, words: str) -> None:
    assert draw.percent(score) == words


# ---- lettering


@given(st.text(max_size=40), st.integers(6, 40), st.integers(0, 300))
@settings(max_examples=80, deadline=None)
def test_shortened_text_fits_and_is_a_beginning(words: str, size_px: int, width_px: int) -> None:
    short = lettering.shortened(words, size_px, width_px)
    assert short == "" or lettering.ink(short, size_px).shape[1] <= width_px
    assert short == words or words.startswith(short[:-1].rstrip())


def test_all_lines_of_one_size_are_of_one_height_and_in_ink() -> None:
    masks = [lettering.ink(words, 20) for words in ("x", "Ågjp", "100%", "a\nb\tc")]
    assert len({mask.shape[0] for mask in masks}) == 1
    assert all(mask.max() > 200 for mask in masks)
    for mask in masks:
        assert not mask[-1].max() > 128, "letters must not be cut off below"
        assert not mask[0].max() > 128, "or above"


def test_without_any_lettering_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    forget()
    with pytest.raises(MissingDependencyError, match=r"Drawing needs .*pip install 'edgevit\[image\]'"):
        draw.draw(answer((96, 96)))


def test_opening_the_room_loads_no_library_for_pictures() -> None:
    heavy = {"torch", "av", "cv2", "PIL"}
    script = f"import sys, edgevit.apps.draw, edgevit.apps.predict; sys.exit(bool({heavy} & {{*sys.modules}}))"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


# ---- blending


def test_what_reaches_over_the_edge_is_cut_off_there() -> None:
    picture = np.zeros((10, 10, 3), np.uint8)
    canvas.box(picture, -5, -5, (8, 8), (100, 200, 50), 1.0)
    assert picture[:3, :3].reshape(-1, 3).tolist() == [[100, 200, 50]] * 9
    assert not picture[3:].any()
    canvas.box(picture, 20, 20, (5, 5), (255, 255, 255), 1.0)
    canvas.box(picture, 0, 0, (0, 5), (255, 255, 255), 1.0)
    assert picture.max() == 200


def test_opacity_mixes_and_corners_are_round() -> None:
    picture = np.full((40, 40, 3), 100, np.uint8)
    canvas.box(picture, 0, 0, (40, 40), (200, 0, 100), 0.5, radius=10)
    assert picture[20, 20].tolist() == [150, 50, 100]
    assert picture[0, 0].tolist() == [100, 100, 100]
    assert np.array_equal(picture, picture[::-1, ::-1])


# ---- the contact sheet


def test_a_sheet_holds_every_picture_in_its_cell() -> None:
    pictures = [np.full((20, 30, 3), 40 * (n + 1), np.uint8) for n in range(5)]
    sheet = contact_sheet(pictures, columns=3, cell_hw=(60, 90), captions=["a", "b" * 500, "", "d\ne", "é"])
    assert sheet.dtype == np.uint8
    for n in range(5):
        row, column = divmod(n, 3)
        step_h, step_w = (sheet.shape[0] - 4) // 2, 94
        assert sheet[4 + row * step_h + 30, 4 + column * step_w + 45].tolist() == [40 * (n + 1)] * 3
    assert sheet.shape[1] == 3 * 94 + 4
    assert sheet[30, 1].tolist() == list(sheet[-1, -1])  # the paper


def test_right_and_wrong_answers_have_colours() -> None:
    picture = np.zeros((32, 32, 3), np.uint8)
    sheet = contact_sheet([picture] * 3, columns=3, cell_hw=(64, 64), captions=["MMMM"] * 3, right=[True, False, None])
    width = sheet.shape[1] // 3
    for n, (more, less) in enumerate(((1, 0), (0, 1))):
        part = sheet[70:, n * width : (n + 1) * width].astype(int)
        assert (part[..., more] - part[..., less]).max() > 60


@pytest.mark.parametrize("bad", [{"columns": 0}, {"cell_hw": (4, 60)}, {"captions": ["one"]}, {"right": [True]}])
def test_a_sheet_that_cannot_be_is_refused(bad: dict[str, object]) -> None:
    asked: dict[str, object] = {"columns": 2, "cell_hw": (60, 60), **bad}
    with pytest.raises(InputError, match="A contact sheet"):
        contact_sheet([np.zeros((8, 8, 3), np.uint8)] * 2, **asked)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="A contact sheet"):
        contact_sheet([], columns=2, cell_hw=(60, 60))
