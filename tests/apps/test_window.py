"""The window of ``edgevit track`` on a stand-in of OpenCV: strokes of the mouse, keys, and machines without windows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import blob_tracker
import numpy as np
import pytest
import red_box
from hypothesis import given
from hypothesis import strategies as st

from edgevit.apps.mouse import Mouse
from edgevit.apps.track import track
from edgevit.apps.window import Window
from edgevit.errors import EnvironmentFault, MissingDependencyError
from edgevit.runtime import Frame, Tracks

DOWN, UP, MOVE = 1, 4, 0
Act = Callable[["FakeCv2"], int]


class FakeCv2:
    """Be an OpenCV with one window. Each wait for a key plays the next act of a script; then there is silence."""

    WINDOW_NORMAL, WND_PROP_VISIBLE = 0, 4
    EVENT_LBUTTONDOWN, EVENT_LBUTTONUP, EVENT_MOUSEMOVE = DOWN, UP, MOVE

    class error(Exception):  # noqa: N801, N818 - OpenCV's own name
        """Be OpenCV's error."""

    def __init__(self, script: list[Act], *, windows: bool = True) -> None:
        self.script = script
        self.open = False
        self.pictures: list[np.ndarray] = []
        self.hear: Callable[..., None] = lambda *_: None
        self._windows = windows

    def namedWindow(self, title: str, flags: int) -> None:  # noqa: N802
        if not self._windows:
            raise self.error("The function is not implemented")
        self.open = True

    def setMouseCallback(self, title: str, hear: Callable[..., None]) -> None:  # noqa: N802
        self.hear = hear

    def imshow(self, title: str, bgr: np.ndarray) -> None:
        self.pictures.append(bgr.copy())

    def waitKey(self, wait_ms: int) -> int:  # noqa: N802
        assert wait_ms > 0, "a wait without an end does not see that the window was closed"
        return self.script.pop(0)(self) if self.script else -1

    def getWindowProperty(self, title: str, what: int) -> float:  # noqa: N802
        return float(self.open)

    def destroyWindow(self, title: str) -> None:  # noqa: N802
        assert self.open, "OpenCV raises for a window that is gone"
        self.open = False


def key(name: str) -> Act:
    return lambda cv2: ord(name)


def mouse(*events: tuple[int, int, int]) -> Act:
    def act(cv2: FakeCv2) -> int:
        for event, x, y in events:
            cv2.hear(event, x, y, 0, None)
        return -1

    return act


def drag(left: int, top: int, right: int, bottom: int) -> Act:
    return mouse((DOWN, left, top), (MOVE, right, bottom), (UP, right, bottom))


def click(x: int, y: int) -> Act:
    return mouse((DOWN, x, y), (MOVE, x + 1, y), (UP, x + 1, y))


def nothing(cv2: FakeCv2) -> int:
    return -1


def closed_by_hand(cv2: FakeCv2) -> int:
    cv2.open = False
    return -1


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Window, FakeCv2]]:
    def make(*script: Act, windows: bool = True) -> tuple[Window, FakeCv2]:
        fake = FakeCv2(list(script), windows=windows)
        monkeypatch.setitem(sys.modules, "cv2", fake)
        monkeypatch.setenv("DISPLAY", ":0")
        return Window(), fake

    return make


FRAME = Frame(red_box.picture(0), "rgb", 0)
NONE = Tracks((), FRAME)


def test_a_drag_is_the_box_in_whatever_direction_it_is_drawn(opened: Any) -> None:
    window, fake = opened(nothing, drag(64, 60, 40, 40))
    assert window.choose(FRAME) == (40, 40, 24, 20)
    np.testing.assert_array_equal(fake.pictures[0][..., ::-1], FRAME.to_rgb())


def test_a_drag_beyond_the_picture_ends_at_its_edge(opened: Any) -> None:
    window, _ = opened(drag(150, 100, 400, 300))
    assert window.choose(FRAME) == (150, 100, 10, 20)


def test_a_click_is_a_point_on_the_target(opened: Any) -> None:
    window, _ = opened(click(52, 50))
    assert window.choose(FRAME) == pytest.approx(red_box.box_xywh(0), abs=3)


def test_the_box_is_seen_while_it_is_drawn(opened: Any) -> None:
    window, fake = opened(mouse((DOWN, 10, 10), (MOVE, 30, 20)), nothing, mouse((UP, 30, 20)))
    assert window.choose(FRAME) == (10, 10, 20, 10)
    during = fake.pictures[1]
    assert (during[10, 10:30] == 255).all()
    assert (during[19, 10:30] == 255).all()
    assert (during[10:20, 29] == 255).all()
    assert (FRAME.to_rgb()[10, 10:30] != 255).all(), "the frame itself stays as it is"


@pytest.mark.parametrize("end", [key("c"), key("q"), key("\x1b"), closed_by_hand])
def test_whoever_gives_up_has_chosen_nothing(end: Act, opened: Any) -> None:
    window, _ = opened(nothing, end)
    assert window.choose(FRAME) is None
    window.close()


@pytest.mark.parametrize(
    ("typed", "wish"), [("s", "select"), ("r", "reset"), ("q", "quit"), ("\x1b", "quit"), ("x", "")]
)
def test_keys_are_wishes(typed: str, wish: str, opened: Any) -> None:
    window, _ = opened(key(typed))
    assert window.show(NONE) == wish


def test_no_key_is_no_wish_and_a_closed_window_is_the_end(opened: Any) -> None:
    window, _ = opened(nothing, closed_by_hand)
    assert window.show(NONE) == ""
    assert window.show(NONE) == "quit"
    window.close()


@pytest.mark.parametrize(
    ("after", "wish"), [(key(" "), ""), (key("r"), "reset"), (closed_by_hand, "quit"), (drag(1, 1, 9, 9), "select")]
)
def test_space_waits_for_a_key_a_stroke_or_the_end(after: Act, wish: str, opened: Any) -> None:
    window, fake = opened(key(" "), nothing, nothing, after)
    assert window.show(NONE) == wish
    assert fake.script == []


def test_a_stroke_on_the_running_picture_asks_for_that_target_at_once(opened: Any) -> None:
    window, fake = opened(drag(40, 40, 64, 60))
    assert window.show(NONE) == "select"
    shown = len(fake.pictures)
    assert window.choose(FRAME) == (40, 40, 24, 20)
    assert len(fake.pictures) == shown, "nothing was waited for"
    assert window.show(NONE) == ""


def test_click_and_it_follows(opened: Any) -> None:
    """The whole road: a click in the first picture, then one on another target while it runs."""
    green = (30, 200, 60)

    def shown(n: int) -> Frame:
        canvas = red_box.picture(n)
        canvas[80:100, 100:120] = green
        return Frame(canvas, "rgb", 0, n)

    frames = [shown(n) for n in range(8)]
    window, _ = opened(click(52, 50), nothing, nothing, click(110, 90), nothing)
    seen: list[Tracks] = []
    session, _ = blob_tracker.session(features=False)
    summary = track(session, _Source(frames), screen=window, progress=lambda done, total, tracks: seen.append(tracks))
    assert summary.frames == 8
    assert summary.states == {"tracking": 8}
    assert seen[2][0].box_xywh == pytest.approx(red_box.box_xywh(2), abs=5)
    assert seen[-1][0].box_xywh == pytest.approx((100, 80, 20, 20), abs=5)
    assert {tracks[0].id for tracks in seen} == {1}


class _Source:
    live = False
    faults: tuple[str, ...] = ()

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames
        self.total: int | None = len(frames)

    def __iter__(self) -> Any:
        return iter(self._frames)

    def close(self) -> None:
        """Have nothing to give back."""


# ---- machines without windows


def test_a_headless_opencv_is_told_with_what_to_type(opened: Any) -> None:
    with pytest.raises(EnvironmentFault, match=r"No window can be shown here.*--box x,y,width,height"):
        opened(windows=False)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no DISPLAY")
def test_without_a_display_opencv_is_not_even_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV's Qt would end the whole process."""
    fake = FakeCv2([])
    monkeypatch.setitem(sys.modules, "cv2", fake)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EnvironmentFault, match="there is no display"):
        Window()
    assert not fake.open


def test_without_opencv_the_pip_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(
        MissingDependencyError, match=r"A window needs the package 'opencv-python'.*Type: pip install opencv-python$"
    ):
        Window()


# ---- the mouse alone

places = st.integers(-50, 250)


@given(places, places, places, places)
def test_every_stroke_is_a_point_or_a_box_inside_the_picture(x0: int, y0: int, x1: int, y1: int) -> None:
    stroke = Mouse()
    stroke.press(x0, y0)
    stroke.move(x1, y1)
    stroke.release(x1, y1)
    assert stroke.done
    taken = stroke.take((120, 160))
    assert not stroke.done
    assert 0 <= taken[0] <= 159
    assert 0 <= taken[1] <= 119
    if len(taken) == 2:
        assert max(abs(x1 - x0), abs(y1 - y0)) < 4
    else:
        assert min(taken[2:]) >= 1
        assert taken[0] + taken[2] <= 160
        assert taken[1] + taken[3] <= 120


def test_a_release_without_a_press_is_no_stroke() -> None:
    stroke = Mouse()
    stroke.release(5, 5)
    stroke.move(9, 9)
    assert not stroke.done
    assert not stroke.pressed


def test_a_new_press_forgets_the_stroke_before() -> None:
    stroke = Mouse()
    stroke.press(0, 0)
    stroke.release(50, 50)
    stroke.press(60, 60)
    assert not stroke.done
    stroke.release(80, 90)
    assert stroke.take((120, 160)) == (60, 60, 20, 30)
