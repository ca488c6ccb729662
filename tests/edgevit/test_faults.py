from __future__ import annotations

import re
from pathlib import Path

import pytest
from faults import FAULTS, Fault, answer


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_broken_input_gets_one_sentence_and_no_traceback(
    fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEVIT_CACHE", str(tmp_path / "cache"))
    code, said = answer(fault, tmp_path)
    assert code == fault.exit_code, said
    assert re.search(fault.sentence, said), said
    assert said.startswith("edgevit: ")
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "o").exists()
