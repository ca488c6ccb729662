"""The demos run from nothing to pictures, for one device each."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgevit
from edgevit.apps import demo, demo_shapes
from edgevit.errors import RefusedError
from edgevit.pictures import read_picture


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_tracker_s_demo_leaves_a_proven_bundle_a_video_and_a_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "DEVICES", ("x86-64",))
    assert demo.main(["--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "box IoU" in told
    assert "x86-64" in told
    assert (tmp_path / "hit_nano-x86-64" / "manifest.json").is_file()
    assert (tmp_path / demo.VIDEO_FILE).stat().st_size > 10_000
    assert read_picture(tmp_path / demo.SHEET_FILE).std() > 10


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_classifier_s_demo_names_what_it_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_shapes, "DEVICES", ("x86-64",))
    monkeypatch.setattr(demo_shapes, "_BENCH_RUNS", 5)
    assert demo_shapes.main(["--out", str(tmp_path)]) == 0
    assert "40 rendered pictures" in capsys.readouterr().out
    assert read_picture(tmp_path / demo_shapes.SHEET_FILE).std() > 10


def test_a_refusal_is_told_and_the_safe_precision_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    def refuse(model: str, *, precision: str | None = None, **options: object) -> str:
        asked.append(precision)
        if precision is None:
            raise RefusedError("int8 is refused.")
        return "sealed"

    monkeypatch.setattr(edgevit, "export", refuse)
    assert demo.export_for("intel-n100", tmp_path) == "sealed"  # type: ignore[comparison-overlap]
    assert asked == [None, "fp16"]
