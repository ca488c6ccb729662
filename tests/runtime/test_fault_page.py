"""The page of faults is that of the faults that are played."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")


def test_the_page_has_a_line_for_each_fault_and_no_place_of_the_machine_that_made_it() -> None:
    pytest.importorskip("av")
    pytest.importorskip("PIL")
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks.live_faults import FAULTS, HEAD
    finally:
        sys.path.remove(str(ROOT))
    assert PAGE.startswith(HEAD)
    rows = [line.split(" | ") for line in PAGE.removeprefix(HEAD).strip().splitlines()]
    assert [row[0].removeprefix("| ") for row in rows] == list(FAULTS)
    assert {len(row) for row in rows} == {5}
    assert "/tmp" not in PAGE
    assert "Traceback" not in PAGE
    streams = [row for row in rows if "camera" in row[0] or "server" in row[0]]
    assert len(streams) == 12
    for row in streams:
        assert row[2] == ("0" if "size" in row[0] else "1"), row
