"""Outputs of a run with several sources: a film, a folder, a window of each; lines that say whose they are."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answered import Answer, feed, frame

from edgevit.errors import EnvironmentFault, UsageError
from edgevit.pictures import read_picture
from edgevit.runtime.frame import Frame
from edgevit.runtime.pipeline import Pipeline
from edgevit.runtime.results import Classification, Speed
from edgevit.runtime.sinks import Sink, check_outputs, open_sink, open_sinks
from edgevit.runtime.sources import open_source

av: Any = pytest.importorskip("av")

NAMES = ("/in/hall.mp4", "rtsp://user:…@gate/yard")
SIZES = ((48, 64), (96, 32))
PACES_NS = (40_000_000, 100_000_000)


def frames(lane: int, count: int) -> Iterator[Frame]:
    for index in range(count):
        yield frame(index, NAMES[lane], SIZES[lane], at_ns=index * PACES_NS[lane])


def classified(one: Frame) -> Classification:
    return Classification(np.array([0.25, 0.75], np.float32), ("disc", "bar"), one, Speed(1, 2, 3))


def run(*places: str | Path, counts: tuple[int, int] = (9, 5), model: Any = Answer, also: tuple[Sink, ...] = ()) -> Any:
    sinks = [*(sink for place in places for sink in open_sinks(place, NAMES)), *also]
    return Pipeline(model, [frames(0, counts[0]), frames(1, counts[1])], sinks).run()


def test_each_source_gets_a_film_of_its_own_size_at_its_own_times(tmp_path: Path) -> None:
    report = run(tmp_path / "seen.mkv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seen-hall.mkv", "seen-yard.mkv"]
    for lane, (label, count) in enumerate((("hall", 9), ("yard", 5))):
        got = list(open_source(tmp_path / f"seen-{label}.mkv"))
        assert [one.captured_ns for one in got] == [index * PACES_NS[lane] for index in range(count)]
        assert {one.size_hw for one in got} == {SIZES[lane]}
        (stage,) = (stage for stage in report.stages if stage.name.endswith(f"seen-{label}.mkv"))
        assert stage.age.count == count, "it is handed its own source's answers alone"


def test_a_film_of_one_source_keeps_its_name(tmp_path: Path) -> None:
    (sink,) = open_sinks(tmp_path / "seen.mkv", NAMES[:1])
    assert sink.place == str(tmp_path / "seen.mkv")
    assert not hasattr(sink, "lane")
    assert open_sink(tmp_path / "seen.mkv").place == sink.place


def test_an_older_film_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """As with one source."""
    for label in ("hall", "yard"):
        (tmp_path / f"seen-{label}.mp4").write_bytes(b"older")
    sinks = open_sinks(tmp_path / "seen.mp4", NAMES)
    one = frame()
    sinks[0].write(one, Answer(one))
    assert (tmp_path / "seen-hall.mp4").read_bytes() == b"older"
    for sink in sinks:
        sink.close()
        sink.close()
    assert len(list(open_source(tmp_path / "seen-hall.mp4"))) == 1
    assert (tmp_path / "seen-yard.mp4").read_bytes() == b"older", "it had no frame"


def test_frames_of_two_sources_are_never_mixed_in_one_film(tmp_path: Path) -> None:
    pipeline = Pipeline(Answer, [frames(0, 5), frames(1, 5)], [open_sink(tmp_path / "seen.mp4")])
    with pytest.raises(UsageError, match=r"several sources would take turns. Type: open_sinks\('.*seen\.mp4', \["):
        pipeline.run()
    assert len(list(open_source(tmp_path / "seen.mp4"))) > 0


def test_lines_and_rows_say_which_source_they_are_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "told.jsonl", tmp_path / "told.csv", "-", model=classified)
    lines = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    with (tmp_path / "told.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["lane", "source_name", "source", "index", "seconds"]
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == lines
    for lane, count in enumerate((9, 5)):
        for told in (lines, rows):
            own = [answer for answer in told if answer["source_name"] == NAMES[lane]]
            assert {str(answer["lane"]) for answer in own} == {str(lane)}
            assert [int(answer["index"]) for answer in own] == list(range(count))


def test_lines_and_rows_of_one_source_are_as_they_were(tmp_path: Path) -> None:
    for names in ((), NAMES[:1]):
        for place in ("told.jsonl", "told.csv"):
            (sink,) = open_sinks(tmp_path / place, names)
            sink.write(frame(), classified(frame()))
            sink.close()
        assert list(json.loads((tmp_path / "told.jsonl").read_text()))[:2] == ["task", "source"]
        assert (tmp_path / "told.csv").read_text().startswith("source,index,seconds,")


def test_shots_of_each_source_have_a_folder(tmp_path: Path) -> None:
    run(f"{tmp_path}/shots/", tmp_path / "last.png", counts=(1, 1))
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*g"))
    assert found == ["last-hall.png", "last-yard.png", "shots/hall/hall-000000.jpg", "shots/yard/yard-000000.jpg"]
    assert read_picture(tmp_path / "last-yard.png").shape[:2] == SIZES[1]


def test_sources_that_are_called_the_same_do_not_share_a_shot(tmp_path: Path) -> None:
    sinks = open_sinks(f"{tmp_path}/", ["a/x", "a/x"])
    for sink in sinks:
        sink.write(frame(0, "a/x/1.png"), Answer(frame()))
    assert len(list(tmp_path.rglob("1.png"))) == 2


def test_no_part_of_an_output_is_an_input_or_another_output(tmp_path: Path) -> None:
    for name in ("x-b.mkv", "b.mkv"):
        feed(tmp_path / name, frame())
    before = (tmp_path / "x-b.mkv").read_bytes()
    with pytest.raises(UsageError, match=r"x-b\.mkv is the input itself"):
        open_sinks(tmp_path / "x.mkv", [str(tmp_path / "x-b.mkv"), str(tmp_path / "b.mkv")])
    assert (tmp_path / "x-b.mkv").read_bytes() == before
    with pytest.raises(UsageError, match=r"seen-a-b\.mkv is named twice"):
        check_outputs([f"{tmp_path}/seen.mkv", f"{tmp_path}/seen-a.mkv"], ["a-b", "b"])
    check_outputs([f"{tmp_path}/seen.mkv", f"{tmp_path}/seen.mp4", f"{tmp_path}/told.csv"], ["a", "b"])


def test_one_film_that_fails_ends_the_run_and_the_others_are_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered until then is in all others, as documented for one film."""
    hall, yard = open_sinks(tmp_path / "seen.mp4", NAMES)
    film: Any = hall._sink  # type: ignore[attr-defined]
    encode, written = film._encode, [0]

    def filling(*given: Any) -> None:
        written[0] += 1
        if written[0] > 40:
            raise OSError(28, "No space left on device")
        encode(*given)

    monkeypatch.setattr(film, "_encode", filling)
    (lines,) = open_sinks(tmp_path / "told.jsonl", NAMES)
    pipeline = Pipeline(Answer, [frames(0, 3000), frames(1, 3000)], [hall, yard, lines])
    with pytest.raises(EnvironmentFault, match=r"seen-hall\.mp4 cannot be written any further: No space.* plays up to"):
        pipeline.run()
    for sink in (hall, yard, lines):
        sink.close()
    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert 0 < len(list(open_source(tmp_path / "seen-hall.mp4"))) <= 40
    assert len(list(open_source(tmp_path / "seen-yard.mp4"))) == sum(answer["lane"] == 1 for answer in told)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".jsonl", ".mp4", ".mp4"]


def test_a_film_that_is_slow_holds_up_its_own_source_alone(tmp_path: Path) -> None:
    """Each is written on a thread of its own."""
    busy, threads = threading.Barrier(2, timeout=60), set()

    class Together(Answer):
        def plot(self) -> Any:
            if self.frame.index == 3:
                threads.add(threading.get_ident())
                busy.wait()  # for the other film's, which comes only if both are written at once
            return super().plot()

    run(tmp_path / "seen.mkv", model=Together)
    assert len(threads) == 2
