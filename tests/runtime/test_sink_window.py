"""Windows of an OpenCV that needs no display."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from answered import U8, Answer, feed, frame

from edgevit.errors import EnvironmentFault, InputError
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.sinks import WindowClosed, open_sink, open_sinks

NAMES = ("/in/hall.mp4", "/in/yard.mp4")


class Cv2:
    """Be an OpenCV; ``keys`` are what is pressed, ``closed`` the windows that a person closed."""

    WINDOW_NORMAL, WND_PROP_VISIBLE = 0, 4

    class error(Exception):  # noqa: N801, N818 - OpenCV's own name
        """Be OpenCV's error."""

    def __init__(self, *keys: int, gui: str = "GTK3", visible: float = 1.0) -> None:
        self.keys, self.gui, self.visible = list(keys), gui, visible
        self.shown: list[U8] = []
        self.titles: list[str] = []
        self.closed: set[str] = set()
        self.destroyed = 0

    def getBuildInformation(self) -> str:  # noqa: N802
        return f"General:\n  GUI:                           {self.gui}\n"

    def namedWindow(self, title: str, flags: int) -> None:  # noqa: N802
        if self.gui == "lost":
            raise self.error("The function is not implemented")
        assert title not in self.titles, "it is opened once"
        self.titles.append(title)

    def imshow(self, title: str, bgr: U8) -> None:
        assert title in self.titles
        self.shown.append(bgr)

    def waitKey(self, wait_ms: int) -> int:  # noqa: N802
        return self.keys.pop(0) if self.keys else -1

    def getWindowProperty(self, title: str, what: int) -> float:  # noqa: N802
        return 0.0 if title in self.closed else self.visible

    def destroyWindow(self, title: str) -> None:  # noqa: N802
        self.destroyed += 1


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(cv2: Cv2, display: str = ":0", platform: str = "linux") -> Cv2:
        monkeypatch.setitem(sys.modules, "cv2", cv2)
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setenv("DISPLAY", display)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        return cv2

    return make


def test_a_window_shows_the_annotated_pictures(screen: Any) -> None:
    cv2 = screen(Cv2())
    feed("window://", frame(0), frame(1))
    assert len(cv2.shown) == 2
    assert cv2.shown[0][2, 2].tolist() == [255, 255, 255]
    assert cv2.shown[0][20, 20].tolist() == [30, 60, 200]
    assert cv2.destroyed == 1


@pytest.mark.parametrize("cv2", [Cv2(-1, ord("q")), Cv2(-1, 27), Cv2(-1, ord("q") | 1 << 20)])
def test_a_key_ends_a_run_quietly(cv2: Cv2, screen: Any) -> None:
    screen(cv2)
    pipeline = Pipeline(lambda one: Answer(one), (frame(n) for n in range(100)), [open_sink("window://")])
    report = pipeline.run()
    assert report.stopped == "the window was closed"
    assert (len(cv2.shown), cv2.destroyed) == (2, 1)


def test_a_window_that_a_person_closed_is_not_closed_again(screen: Any) -> None:
    cv2 = screen(Cv2(visible=0.0))
    sink = open_sink("window://")
    with pytest.raises(WindowClosed):
        sink.write(frame(), Answer(frame()))
    sink.close()
    assert cv2.destroyed == 0


@pytest.mark.parametrize(
    ("cv2", "display", "platform", "why"),
    [
        (Cv2(), "", "linux", "there is no display"),
        (Cv2(gui="NONE"), ":0", "linux", "a headless build"),
        (Cv2(), ":0", "darwin", "macOS"),
    ],
)
def test_where_no_window_can_be_that_is_told_at_once(
    cv2: Cv2, display: str, platform: str, why: str, screen: Any
) -> None:
    screen(cv2, display, platform)
    with pytest.raises(EnvironmentFault, match=f"No window can be shown here: .*{why}"):
        open_sink("window://")


def test_a_window_that_fails_later_is_told_too(screen: Any) -> None:
    screen(Cv2(gui="lost"))
    with pytest.raises(EnvironmentFault, match="No window can be shown here"):
        feed("window://", frame())


def test_a_window_of_one_source_is_called_as_ever(screen: Any) -> None:
    for names in ((), ("hall",)):
        cv2 = screen(Cv2())
        (sink,) = open_sinks("window://", names)
        sink.write(frame(), Answer(frame()))
        assert cv2.titles == ["edgevit"]


def test_each_of_several_sources_has_a_window_that_is_named_by_it(screen: Any) -> None:
    cv2 = screen(Cv2())
    (sink,) = open_sinks("window://", NAMES)
    pipeline = Pipeline(Answer, [map(frame, range(3)), map(frame, range(5))], [sink])
    assert pipeline.run().answered == 8
    assert sorted(cv2.titles) == ["edgevit: hall", "edgevit: yard"]
    assert (len(cv2.shown), cv2.destroyed) == (8, 2)


def test_a_key_in_any_window_ends_the_run_and_closes_all(screen: Any) -> None:
    cv2 = screen(Cv2(*[-1] * 5, ord("q")))
    (sink,) = open_sinks("window://", NAMES)
    pipeline = Pipeline(Answer, [map(frame, range(300)), map(frame, range(300))], [sink])
    assert pipeline.run().stopped == "the window was closed"
    assert (len(cv2.shown), cv2.destroyed) == (6, len(cv2.titles))


def test_one_window_may_be_closed_and_the_last_one_ends_the_run(screen: Any) -> None:
    cv2 = screen(Cv2())
    sink: Any = open_sinks("window://", NAMES)[0]

    def write(lane: int) -> None:
        sink.write_from(frame(), Answer(frame()), lane=lane, born_ns=0)

    write(0)
    write(1)
    cv2.closed.add("edgevit: hall")
    write(1)
    write(0)
    write(0)
    assert len(cv2.shown) == 3, "what was closed is shown no more"
    cv2.closed.add("edgevit: yard")
    with pytest.raises(WindowClosed):
        write(1)
    sink.close()
    assert cv2.destroyed == 0


def test_keys_are_heard_while_only_the_source_of_a_closed_window_goes_on(screen: Any) -> None:
    cv2 = screen(Cv2(*[-1] * 4, ord("q")))
    sink: Any = open_sinks("window://", NAMES)[0]
    for lane in (0, 1):
        sink.write_from(frame(), Answer(frame()), lane=lane, born_ns=0)
    cv2.closed.add("edgevit: hall")
    for _ in range(2):  # the other film is over
        sink.write_from(frame(), Answer(frame()), lane=0, born_ns=0)
    with pytest.raises(WindowClosed):
        sink.write_from(frame(), Answer(frame()), lane=0, born_ns=0)
    sink.close()
    assert cv2.destroyed == 1


def test_the_remaining_window_may_be_closed_while_only_the_other_source_goes_on(screen: Any) -> None:
    cv2 = screen(Cv2())
    sink: Any = open_sinks("window://", NAMES)[0]
    for lane in (0, 1):
        sink.write_from(frame(), Answer(frame()), lane=lane, born_ns=0)
    cv2.closed.add("edgevit: hall")
    sink.write_from(frame(), Answer(frame()), lane=0, born_ns=0)
    cv2.closed.add("edgevit: yard")
    with pytest.raises(WindowClosed):
        sink.write_from(frame(), Answer(frame()), lane=0, born_ns=0)


def test_a_window_that_is_closed_before_the_other_source_s_first_picture_does_not_end_the_run(screen: Any) -> None:
    cv2 = screen(Cv2())
    sink: Any = open_sinks("window://", NAMES)[0]
    sink.write_from(frame(), Answer(frame()), lane=0, born_ns=0)
    cv2.closed.add("edgevit: hall")
    sink.write_from(frame(), Answer(frame()), lane=0, born_ns=0)
    sink.write_from(frame(), Answer(frame()), lane=1, born_ns=0)
    assert cv2.titles == ["edgevit: hall", "edgevit: yard"]
    cv2.closed.add("edgevit: yard")
    with pytest.raises(WindowClosed):
        sink.write_from(frame(), Answer(frame()), lane=1, born_ns=0)


def test_what_is_no_picture_is_told_in_place_of_being_shown(screen: Any) -> None:
    screen(Cv2())

    class Grey(Answer):
        def plot(self) -> U8:
            return super().plot()[..., 0]

    with pytest.raises(InputError, match=r"must be \(height, width, 3\) of uint8 .* not \(48, 64\) of uint8"):
        open_sink("window://").write(frame(), Grey(frame()))
