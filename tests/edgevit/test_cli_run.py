"""``edgevit run``, typed as a user types it: files, a clip at its own pace, an MJPEG camera, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import blob_onnx
import onnx_files
import pytest
import red_box
import tiny_bundles
from mjpeg_server import Server, sends

from edgevit.bundle import open_bundle
from edgevit.cli import main
from edgevit.runtime import load
from edgevit.runtime.ages import Spread
from edgevit.runtime.ledger import Ledger, SourceCount
from edgevit.runtime.sustained import Sustained

pytest.importorskip("onnxruntime")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    content = onnx_files.mean_classifier(folder / "source.onnx", scale=4).read_bytes()
    return str(tiny_bundles.write(folder / "bundle", content=content).path)


@pytest.fixture(scope="module")
def faster(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("faster")
    content = onnx_files.mean_classifier(folder / "source.onnx", scale=5).read_bytes()
    return str(tiny_bundles.write(folder / "bundle", content=content).path)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(blob_onnx.write(tmp_path_factory.mktemp("tracker") / "blob").path)


def test_a_file_is_answered_frame_by_frame_and_the_table_says_so(bundle: str, tmp_path: Path, capsys: Capture) -> None:
    told = tmp_path / "told.jsonl"
    assert main(["run", bundle, "synthetic://shapes?count=12", str(told)]) == 0
    captured = capsys.readouterr()
    assert [json.loads(line)["index"] for line in told.read_text().splitlines()] == list(range(12))
    lines = captured.out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("capture", "pre", "inf", "post"))] == [
        *("capture", "preprocess", "inference", "postprocess")
    ]
    assert ["synthetic://shapes", "12", "12", "0", "0", "0"] in [line.split()[:6] for line in lines]
    assert "12 answers in" in captured.err


def test_json_is_one_line_a_frame_and_the_ledger_last(bundle: str, capsys: Capture) -> None:
    assert main(["run", bundle, "synthetic://shapes?count=30", "--json", "--limit", "5", "--max-fps", "200"]) == 0
    *answers, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["index"] for answer in answers] == list(range(5))
    ledger = last["ledger"]
    assert ledger["sources"][0]["answered"] == 5
    assert ledger["stopped"] == "the limit is reached"
    assert {"p50_ms", "p95_ms", "p99_ms"} <= set(ledger["stages"]["postprocess"]["age"])
    assert "ONNX Runtime" in ledger["engine"]


def test_a_clip_at_its_own_pace_is_live(bundle: str, capsys: Capture) -> None:
    words = ["run", bundle, "synthetic://shapes?count=20&fps=100", "--own-pace", "--policy", "newest", "--json"]
    assert main(words) == 0
    ledger = json.loads(capsys.readouterr().out.splitlines()[-1])["ledger"]
    (source,) = ledger["sources"]
    assert source["captured"] == 20
    assert source["answered"] + source["dropped"] == 20
    assert ledger["seconds"] > 0.19


def test_a_tracker_starts_from_its_box(tracker: str, tmp_path: Path, capsys: Capture) -> None:
    album = str(red_box.folder(tmp_path / "album", [red_box.picture(n) for n in range(6)]))
    assert main(["run", tracker, album, "--box", red_box.FIRST, "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()][:-1]
    assert [answer["tracks"][0]["state"] for answer in answers] == ["tracking"] * 6


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["{tracker}", "synthetic://shapes?count=3"],
            "What shall be followed in synthetic://shapes/0000-disc.png? Type",
        ),
        (["{tracker}", "synthetic://clip?count=3", "--box", "a=1,2,3"], "'1,2,3' is no box"),
        (["{tracker}", "synthetic://clip?count=3", "--box", "door=1,2,3,4"], "no source has that in their name"),
        (["{bundle}", "synthetic://clip?count=3", "--box", "1,2,3,4"], "Leave --box out"),
        (["{bundle}", "synthetic://clip", "--max-latency", "80"], "expected a time such as 80ms or 0.5s, not '80'"),
        (["{bundle}", "synthetic://clip", "--max-fps", "0"], "expected a number above 0"),
        (["{bundle}", "synthetic://clip", "--policy", "oldest"], "invalid choice"),
        (["{bundle}", "rstp://camera/1"], "Did you mean rtsp://"),
        (["{bundle}", "http://127.0.0.1:9/x"], "nothing listens at that port"),
        (["hit_nan", "0"], "There is no bundle named 'hit_nan'. Did you mean hit_nano"),
        (["synthetic://clip", "{bundle}"], "'synthetic://clip' is no bundle; expected a bundle's folder or .zip"),
        (["0", "{bundle}"], "It stands before the input. Type: edgevit list"),
        ([__file__, "{bundle}"], "It stands before the input"),
        (["", "0"], "The bundle's name is empty; expected"),
        (["{bundle}", "synthetic://shapes", "a.csv", "./a.csv"], "The output ./a.csv is named twice"),
    ],
)
def test_what_cannot_be_is_told(words: list[str], sentence: str, bundle: str, tracker: str, capsys: Capture) -> None:
    assert main(["run", *(word.format(bundle=bundle, tracker=tracker) for word in words)]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("words", [["run", "{bundle}"], ["predict", "{bundle}"], ["track", "--bundle", "{tracker}"]])
def test_lines_on_stdout_are_alone_there(words: list[str], bundle: str, tracker: str, capsys: Capture) -> None:
    verb, *options = (word.format(bundle=bundle, tracker=tracker) for word in words)
    typed = [verb, *options, "synthetic://clip?kind=plain&count=4", "-"]
    assert main(typed) == 0
    captured = capsys.readouterr()
    assert [json.loads(line)["index"] for line in captured.out.splitlines()] == [0, 1, 2, 3]
    assert "4 " in captured.err
    assert main([*typed, "--json"]) == 0
    captured = capsys.readouterr()
    answers = [json.loads(line) for line in captured.out.splitlines()]
    assert [answer["index"] for answer in answers if "index" in answer] == [0, 1, 2, 3]
    assert "{" not in captured.err
    assert main(["list"]) == 0
    assert capsys.readouterr().out


def test_a_run_without_an_answer_shows_no_table_of_ages(tracker: str, capsys: Capture) -> None:
    assert main(["run", tracker, "synthetic://clip?kind=plain&count=3", "--box", "900,900,9,9"]) == 2
    captured = capsys.readouterr()
    assert "age p50" not in captured.out
    assert "captured" in captured.out
    assert main(["run", tracker, "synthetic://clip?kind=plain&count=3", "--limit", "1"]) == 0
    captured = capsys.readouterr()
    assert "age p50" in captured.out
    assert captured.err.startswith("1 answer in")


def test_each_of_several_sources_has_outputs_of_its_own(bundle: str, tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("av")
    path, out = tmp_path / "two.streams", tmp_path / "out"
    path.write_text("synthetic://shapes?count=3\nsynthetic://clip?count=4&kind=plain\n")
    places = [f"{out}/{name}" for name in ("seen.mkv", "told.jsonl", "rows.csv", "shots/")]
    assert main(["run", bundle, str(path), *places, "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()][:-1]
    told = [json.loads(line) for line in (out / "told.jsonl").read_text().splitlines()]
    assert answers == told
    assert sorted({(one["lane"], one["source_name"]) for one in told}) == [
        *((0, "synthetic://shapes"), (1, "synthetic://clip"))
    ]
    assert {one.name for one in out.iterdir()} == {
        "seen-shapes.mkv",
        "seen-clip.mkv",
        "told.jsonl",
        "rows.csv",
        "shots",
    }
    assert {one.name: len(list(one.iterdir())) for one in (out / "shots").iterdir()} == {"shapes": 3, "clip": 4}
    path.write_text("synthetic://shapes?count=3\n")
    assert main(["run", bundle, str(path), f"{tmp_path}/seen.mkv", "--json"]) == 0
    assert (tmp_path / "seen.mkv").is_file()
    assert "lane" not in json.loads(capsys.readouterr().out.splitlines()[0])


def test_a_list_in_a_list_is_refused(bundle: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "all.streams"
    path.write_text("hall.streams\n")
    assert main(["run", bundle, str(path)]) == 2
    assert f"{path}, line 1: it names a list, hall.streams." in capsys.readouterr().err


def test_several_sources_of_a_classifier_are_counted_apart(bundle: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "two.streams"
    path.write_text("synthetic://shapes?count=3\nsynthetic://shapes?count=4\n")
    assert main(["run", bundle, str(path), "--json"]) == 0
    ledger = json.loads(capsys.readouterr().out.splitlines()[-1])["ledger"]
    assert [source["answered"] for source in ledger["sources"]] == [3, 4]


@pytest.mark.parametrize("verb", ["run", "track"])
def test_a_tracker_follows_a_target_in_each_of_several_sources(
    verb: str, tracker: str, tmp_path: Path, capsys: Capture
) -> None:
    """One walks to the right, the other to the left: with a state in common both would be lost."""
    pictures = [red_box.picture(n) for n in range(6)]
    hall = red_box.folder(tmp_path / "hall", pictures)
    yard = red_box.folder(tmp_path / "yard", [rgb[:, ::-1].copy() for rgb in pictures])
    path = tmp_path / "two.streams"
    path.write_text(f"{hall}\n{yard}\n")
    words = [tracker, str(path)] if verb == "run" else [str(path), "--bundle", tracker]
    for boxes in ([red_box.FIRST, "96,40,24,20"], ["yard=96,40,24,20", f"hall={red_box.FIRST}"]):
        assert main([verb, *words, "--json", *(word for box in boxes for word in ("--box", box))]) == 0
        answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()][:-1]
        last = {Path(a["source"]).parent.name: a["tracks"][0] for a in answers if a["index"] == 5}
        assert last["hall"]["box_xyxy"][0] == pytest.approx(50, abs=4)
        assert last["yard"]["box_xyxy"][0] == pytest.approx(86, abs=4)
        assert {a["tracks"][0]["state"] for a in answers} == {"tracking"}
    assert main([verb, *words, "--box", "1,1,5,5", "--box", "1,1,5,5", "--box", "1,1,5,5"]) == 2
    assert "3 boxes were given for 2 sources" in capsys.readouterr().err
    assert main([verb, *words, "--box", red_box.FIRST]) == 2
    assert "What shall be followed in" in capsys.readouterr().err


def test_a_built_in_clip_knows_its_target_here_too(tracker: str, capsys: Capture) -> None:
    assert main(["run", tracker, "synthetic://clip?kind=plain&count=3&size=96x128", "--json"]) == 0
    *answers, _ = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(answer["tracks"]) for answer in answers] == [1, 1, 1]


def test_for_ends_a_camera_and_tells_of_its_last_minute(bundle: str, capsys: Capture) -> None:
    pytest.importorskip("av")
    with Server(sends(100_000)) as server:
        assert main(["run", bundle, server.url, "--for", "1.5s", "--json"]) == 0
    captured = capsys.readouterr()
    ledger = json.loads(captured.out.splitlines()[-1])["ledger"]
    assert ledger["stopped"] == "the 1.5 s are over"
    assert ledger["sources"][0]["name"] == server.url
    (minute,) = ledger["minutes"]
    assert minute["answers"] == ledger["sources"][0]["answered"] > 0
    assert "0.0 min" in captured.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_run_in_order(number: int, code: int, bundle: str, tmp_path: Path) -> None:
    """Lines that were written are whole, the video can be played, and the ledger is there."""
    av: Any = pytest.importorskip("av")
    told, film = tmp_path / "told.jsonl", tmp_path / "film.mp4"
    with Server(sends(100_000)) as server:
        words = [sys.executable, "-m", "edgevit", "run", bundle, server.url, str(told), str(film)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2000):
            if told.exists() and told.read_text().count("\n") > 10:
                break
            threading.Event().wait(0.02)
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert len(lines) > 10
    assert "inference" in out
    with av.open(str(film)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 5


def test_a_signal_pauses_a_run_and_another_lets_it_go_on(bundle: str, tmp_path: Path, capsys: Capture) -> None:
    told, counts = tmp_path / "told.jsonl", []

    def lines() -> int:
        return told.read_text().count("\n") if told.exists() else 0

    def more_than(count: int) -> int:
        for _ in range(2000):
            if lines() > count:
                break
            threading.Event().wait(0.01)
        return lines()

    def press() -> None:
        more_than(5)
        os.kill(os.getpid(), signal.SIGUSR1)
        threading.Event().wait(0.4)
        counts.append(lines())
        threading.Event().wait(0.4)
        counts.append(lines())
        os.kill(os.getpid(), signal.SIGUSR1)
        counts.append(more_than(counts[-1]))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    code = main(["run", bundle, "synthetic://shapes?count=100000&fps=50", str(told), "--own-pace"])
    thread.join()
    assert code == 130
    assert counts[0] == counts[1] < counts[2]
    said = capsys.readouterr().err
    assert said.index("s: paused") < said.index("s: resumed")
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_a_faster_bundle_stands_by_and_the_ledger_counts_who_answered(
    bundle: str, faster: str, tracker: str, capsys: Capture
) -> None:
    words = ["run", bundle, "synthetic://shapes?count=6", "--fallback", faster]
    assert main([*words, "--max-latency", "60s", "--json"]) == 0
    ledger = json.loads(capsys.readouterr().out.splitlines()[-1])["ledger"]
    assert ledger["models"] == {"tiny-onnx-fp32": 6, "tiny-onnx-fp32 (2)": 0}
    assert ledger["switches"] == []
    assert main([*words, "--max-latency", "60s"]) == 0
    assert "6 answers by tiny-onnx-fp32, 0 answers by tiny-onnx-fp32 (2)" in capsys.readouterr().out
    assert main(words) == 2
    assert "Type: --max-latency 80ms" in capsys.readouterr().err
    assert main([*words[:3], "--fallback", tracker, "--max-latency", "1s"]) == 2
    assert "it is made to track, not to classify. Name a bundle made to classify." in capsys.readouterr().err


@pytest.mark.parametrize("way", ["itself", "its zip", "a fallback twice"])
def test_a_bundle_does_not_stand_in_for_itself(
    way: str, bundle: str, faster: str, tmp_path: Path, capsys: Capture
) -> None:
    words = ["run", bundle, "synthetic://shapes?count=6", str(tmp_path / "shots"), "--max-latency", "80ms"]
    zipped = str(open_bundle(bundle).to_zip(tmp_path / "packed.zip"))
    named = {"itself": [bundle], "its zip": [zipped], "a fallback twice": [faster, faster]}[way]
    assert main([*words, *(word for name in named for word in ("--fallback", name))]) == 2
    captured = capsys.readouterr()
    assert (
        "The bundle tiny-onnx-fp32 is named twice, and it is no faster than itself. Name a faster one" in captured.err
    )
    assert captured.out == ""
    assert not (tmp_path / "shots").exists()


def test_the_ledger_calls_the_printing_of_answers_so(bundle: str, tmp_path: Path, capsys: Capture) -> None:
    told = str(tmp_path / "told.jsonl")
    assert main(["run", bundle, "synthetic://shapes?count=3", told]) == 0
    table = capsys.readouterr().out
    assert [line.split()[0] for line in table.splitlines() if line.startswith((told, "printing", "callback"))] == [
        *(told, "printing")
    ]
    assert main(["run", bundle, "synthetic://shapes?count=3", "--json"]) == 0
    stages = json.loads(capsys.readouterr().out.splitlines()[-1])["ledger"]["stages"]
    assert list(stages) == ["capture", "preprocess", "inference", "postprocess", "printing"]
    with load(bundle, engine="null") as session:
        report = session.run("synthetic://shapes?count=3", lambda result: None)
    assert report.stages[-1].name == "on_result"


def test_a_minute_says_when_the_machine_got_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    now, clock = [0.0], [2000.0]
    monkeypatch.setattr("edgevit.runtime.sustained.time.monotonic", lambda: now[0])
    monkeypatch.setattr("edgevit.runtime.sustained.clock_mhz", lambda: clock[0])
    monkeypatch.setattr("edgevit.runtime.sustained.temperature_c", lambda: 71.5)
    ledger = Ledger([SourceCount("camera")], ["answer"])
    sustained = Sustained(ledger)
    told = []
    for minute, answers in enumerate((600, 600, 598, 400)):
        clock[0] = 2000.0 if minute < 3 else 1500.0
        for index in range(answers):
            ledger.passed("answer", 40.0 + minute, 30.0)
            ledger.answered(0, index)
        now[0] = 60.0 * minute + 59
        assert sustained.look() is None
        now[0] = 60.0 * minute + 60
        told.append(sustained.look())
    assert [minute.throttled if minute else None for minute in told] == [
        *("", "", ""),
        "throttling began: the clock was 2000 MHz in the first minute",
    ]
    last = told[-1]
    assert last is not None
    assert (last.answers, last.temperature_c) == (400, 71.5)
    assert last.fps == pytest.approx(400 / 60)
    assert isinstance(last.age, Spread)
    assert last.age.p50_ms == pytest.approx(43, rel=0.02)
    assert "1500 MHz, 72 °C; throttling" in str(last)
    assert sustained.look(last=True) is None
