"""Several sources before one tracker: the engines are shared, the targets are not."""

from __future__ import annotations

import blob_tracker
import pytest
import red_box

from edgevit.errors import EngineError, UsageError
from edgevit.runtime import Frame
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.plan import Plan

apps = pytest.importorskip("edgevit.apps.aims")

FIRST = (40, 40, 64, 60)


def mirrored(count: int) -> list[Frame]:
    return [Frame(f.data[:, ::-1].copy(), "rgb", f.captured_ns, f.index, "mirror") for f in red_box.frames(count)]


@pytest.mark.timeout(60)
def test_each_source_has_targets_of_its_own_and_answers_as_if_it_were_alone() -> None:
    alone = []
    for frames, box in ((red_box.frames(8), FIRST), (mirrored(8), (96, 40, 120, 60))):
        tracker, _ = blob_tracker.session()
        with tracker:
            alone.append([tracks[0].box_xyxy.tolist() for tracks in tracker.stream(frames, box)])
    tracker, search = blob_tracker.session()
    with tracker:
        model = tracker.starting(FIRST, (96, 40, 120, 60))
        sources = [iter(red_box.frames(8)), iter(mirrored(8))]
        together: dict[str, list[object]] = {"": [], "mirror": []}
        for tracks in Pipeline(model, sources, plan=Plan("every")).results():
            together[tracks.frame.source].append(tracks[0].box_xyxy.tolist())
        assert list(together.values()) == alone
        assert search.looks >= 16
        assert (tracker.ids, tracker.lane(1).ids, tracker.lane(2).ids) == ((1,), (1,), ())


def test_a_lane_is_another_session_before_the_same_engines() -> None:
    tracker, search = blob_tracker.session()
    yard = tracker.lane(1)
    assert yard.lane(0) is tracker
    assert tracker.lane(1) is yard
    yard.start(red_box.frames(1)[0], FIRST, id=7)
    assert (tracker.ids, yard.ids) == ((), (7,))
    with pytest.raises(UsageError, match="No target has the id 7"):
        tracker.stop(7)
    yard.close()
    assert search.closed
    with pytest.raises(EngineError, match="was closed"):
        tracker(red_box.frames(1)[0])


def test_a_target_starts_with_the_next_frame_beside_those_that_are_there() -> None:
    tracker, _ = blob_tracker.session()
    first, second, third = red_box.frames(3)
    tracker.start(first, FIRST)
    tracker.start_next(lambda frame: (50, 42, 70, 58))
    assert [track.id for track in tracker(second)] == [1, 2]
    assert [track.id for track in tracker(third)] == [1, 2]


def test_a_box_that_no_frame_came_for_starts_nothing_later() -> None:
    tracker, _ = blob_tracker.session()
    assert list(tracker.stream([], FIRST)) == []
    with pytest.raises(UsageError, match="nothing to follow"):
        next(tracker.stream(red_box.frames(1)))


def test_boxes_go_to_their_sources() -> None:
    def places(*aims: object, sources: tuple[str, ...] = ("rtsp://hall/1", "rtsp://yard/1")) -> list[list[object]]:
        return [[p for p in found if not callable(p)] for found in apps.aimed(aims, sources)]

    def aim(x: float, source: str = "") -> object:
        return apps.Aim((x, 1, 2, 3), source)

    assert places(aim(1), aim(2)) == [[(1, 1, 3, 4)], [(2, 1, 4, 4)]]
    assert places(aim(1, "yard"), aim(2, "yard"), aim(3)) == [[(3, 1, 5, 4)], [(1, 1, 3, 4), (2, 1, 4, 4)]]
    assert places(aim(1), aim(2), sources=("clip",)) == [[(1, 1, 3, 4), (2, 1, 4, 4)]]
    assert places(aim(1, "rtsp://a"), sources=("rtsp://a", "rtsp://a/2")) == [[(1, 1, 3, 4)], []]
    for word, sentence in (("rtsp", "several sources have"), ("gate", "no source has")):
        with pytest.raises(UsageError, match=sentence):
            places(aim(1, word))
