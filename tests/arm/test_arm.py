"""The emulated run can fail, and says why: a missed gate, a program that dies, a new instruction, nothing to run on."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.arm import bundles, emulator, native, root, run, verdict
from tests.arm.emulator import PI_4, PI_5, Answer, Board
from tests.arm.root import Root


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Be a PC with an empty PATH and nothing made yet; return the folder that PATH names."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(root, "WORK", tmp_path / "build")
    monkeypatch.delenv(run.MUST, raising=False)
    return tools


@pytest.mark.parametrize(("must", "code"), [("", 0), ("0", 0), ("1", 1)])
def test_without_an_emulator_it_says_so(
    must: str, code: int, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(run.MUST, must)
    assert run.main() == code
    said = capsys.readouterr().out
    assert said.startswith("arm: skipped: qemu-aarch64-static, aarch64-linux-gnu-g++")
    assert said.endswith("are not here. Type: make system-deps\n")
    assert len(said.splitlines()) == 1


def test_on_arm_itself_there_is_nothing_to_emulate(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert run.main() == 0
    assert "on ARM itself, make test is the proof" in capsys.readouterr().out


def test_packages_that_cannot_be_had_are_said_and_asked_for_again(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for tool in root.TOOLS:
        program = elsewhere / tool
        program.write_text("#!/bin/sh\necho 'E: no road to the archive' >&2\nexit 100\n")
        program.chmod(0o755)
    for _ in range(2):  # what the first try left behind is no root
        assert run.main() == 0
        said = capsys.readouterr().out
        assert "skipped: Debian's packages for arm64 cannot be had. apt-get: E: no road to the archive" in said


def test_a_root_is_kept_for_the_very_things_it_was_asked_for() -> None:
    one = root.key("numpy==1.0\n", "ID=debian")
    assert one == root.key("# a remark\n\nnumpy==1.0\n", "ID=debian")
    assert len({one, root.key("numpy==1.1\n", "ID=debian"), root.key("numpy==1.0\n", "ID=ubuntu")}) == 3


def test_a_board_has_its_own_processor_and_the_packages_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "system" / "usr").mkdir(parents=True)
    (tmp_path / "system" / "usr" / "a").touch()
    for processor, dots in ((PI_5, True), (PI_4, False), (PI_5, True)):
        board = emulator.board(Root(tmp_path), processor, {"X": "1"})
        said = (board.folder / "proc" / "cpuinfo").read_text()
        assert said.count("processor\t") == emulator.CORES
        assert ("asimddp" in said) is dots
        assert (board.folder / "usr" / "a").is_file()
        assert {"X": "1", "PATH": ""}.items() <= board.environment().items()


def test_a_root_without_python_is_told(tmp_path: Path) -> None:
    with pytest.raises(root.LackError, match="brought 0 Pythons"):
        _ = Root(tmp_path).python


def report(relative: float, *gates: tuple[str, float, bool]) -> dict[str, Any]:
    return {
        "passed": all(passed for *_, passed in gates),
        "compared_with": "something",
        "figures": {"relative_median": relative},
        "gates": [{"name": n, "value": v, "limit": 1e-3, "passed": p, "counted": True} for n, v, p in gates],
    }


GOLDEN = report(1e-7, ("relative", 1e-7, True))
STORED = report(2e-6, ("relative", 2e-6, True), ("relative to its answers at export", 3e-7, True))
DRIFTED = report(2e-6, ("relative", 2e-6, True), ("relative to its answers at export", 0.5, False))
SEEN = {"machine": "aarch64", "kernels": "neon", "best": 7, "wanted": 7}


def said(*lines: dict[str, Any], code: int = 0) -> Answer:
    return Answer(code, "".join(json.dumps(line) + "\n" for line in lines), "", 1.0)


def test_a_proven_bundle_shows_its_figures() -> None:
    assert verdict.of_bundle(said(GOLDEN, STORED, SEEN)) == verdict.Proof(2e-6, 3e-7, 1e-7)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (said(GOLDEN, DRIFTED, SEEN, code=1), "relative to its answers at export 0.5 (limit 0.001)"),
        (said(GOLDEN, DRIFTED, SEEN), "relative to its answers at export 0.5 (limit 0.001)"),
        (said({**GOLDEN, "passed": False}, STORED, SEEN), "refused, compared with something"),
        (said(GOLDEN, STORED, SEEN, code=-11), "ended by SIGSEGV"),
        (said(GOLDEN, STORED, code=-4), "ended by SIGILL"),
        (said(GOLDEN, code=3), "ended with 3"),
        (said(), "cannot be read"),
        (said(GOLDEN, STORED, {}), "cannot be read"),
        (said(GOLDEN, STORED, {**SEEN, "machine": "x86_64"}), "machine is x86_64, not aarch64"),
        (said(GOLDEN, STORED, {**SEEN, "kernels": "numpy"}), "kernels is numpy, not neon"),
        (said(GOLDEN, STORED, {**SEEN, "best": 8}), "edgevit.load answers class 8, the golden sample 7"),
    ],
)
def test_each_way_to_fail_is_a_fault(answer: Answer, fault: str) -> None:
    (told,) = verdict.of_bundle(answer).faults
    assert fault in told


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(0, "....\n4 passed in 1.0s\n", "", 1.0), None),
        (Answer(1, "FAILED a.py::test_b\n1 failed, 3 passed in 1.0s\n", "", 1.0), "FAILED a.py::test_b"),
        (Answer(0, "5 skipped in 1.0s\n", "", 1.0), "no test ran"),
        (Answer(-4, "....", "", 1.0), "SIGILL"),
        (Answer(0, "", "", 1.0), "no test ran"),
    ],
)
def test_tests_that_fail_or_do_not_run_are_a_fault(answer: Answer, fault: str | None) -> None:
    told = verdict.of_tests(answer)[1]
    assert told is None if fault is None else told is not None and fault in told


def test_a_build_without_neon_is_a_fault() -> None:
    assert verdict.of_selftest(Answer(0, "scalar: equal\nneon: equal\n", "", 1.0)) is None
    assert "no NEON" in str(verdict.of_selftest(Answer(0, "scalar: equal\n", "", 1.0)))


@dataclass(frozen=True)
class ScriptedBoard(Board):
    """Answer what it was told to, whatever runs."""

    answer: Callable[[str], Answer] = lambda _: said(GOLDEN, STORED, SEEN)

    def run(self, module: str, *arguments: str, limit_s: float = 0) -> Answer:
        return self.answer(module)

    def execute(self, program: Path, *arguments: str, limit_s: float = 0) -> Answer:
        return Answer(0, "neon: equal\n", "", 1.0)


def prove_one(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], Answer], precision: str = "int8") -> int:
    """Run the whole with one bundle on boards that answer by a script."""
    place = Path("nowhere")
    for name in ("check_tools", "ready"):
        monkeypatch.setattr(root, name, lambda: Root(place))
    monkeypatch.setattr(Root, "python", place)
    monkeypatch.setattr(native, "build", lambda: native.Native(place, place))
    monkeypatch.setattr(run, "board", lambda made, pi, variables: ScriptedBoard(made, pi, place, variables, answer))
    monkeypatch.setattr(bundles, "WANTED", (bundles.Wanted("a", "onnx", precision, None),))
    return run.main()


def scripted(bundle: Answer, tests: str = "4 passed in 1 s") -> Callable[[str], Answer]:
    return lambda module: Answer(0, tests, "", 1.0) if module == "pytest" else bundle


def test_the_exit_code_is_that_of_the_worst(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = os.sched_getaffinity(0)
    monkeypatch.setattr(bundles, "exported", lambda wanted: Path("nowhere"))
    assert prove_one(monkeypatch, scripted(said(GOLDEN, STORED, SEEN))) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for processor in ("cortex-a76", "cortex-a72"):
        assert any(line[:7] == ["a", "onnx", "int8", processor, "2.0e-06", "3.0e-07", "1.0e-07"] for line in lines)
    assert prove_one(monkeypatch, scripted(said(GOLDEN, DRIFTED, SEEN, code=1))) == 1
    assert "a-onnx-int8 on cortex-a72: relative to its answers at export 0.5" in capsys.readouterr().err
    assert prove_one(monkeypatch, scripted(said(GOLDEN, STORED, SEEN), "nothing")) == 1
    assert "kernels on cortex-a76: no test ran" in capsys.readouterr().err
    assert os.sched_getaffinity(0) == before


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
def test_kernels_that_do_not_compile_are_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    compiler = tmp_path / root.COMPILER
    compiler.write_text("#!/bin/sh\necho 'color.cpp:7: this is no C++' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(native, "WORK", tmp_path / "build")
    for name in ("check_tools", "ready"):
        monkeypatch.setattr(root, name, lambda: Root(tmp_path))
    assert run.main() == 1
    assert "the kernels do not compile for aarch64" in capsys.readouterr().err


def test_a_bundle_that_cannot_be_made_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(bundles, "WORK", tmp_path)
    assert prove_one(monkeypatch, scripted(said(GOLDEN, STORED, SEEN)), "int3") == 1
    assert "a-onnx-int3: edgevit: There is no precision named 'int3'" in capsys.readouterr().err


CROSS, HERE = shutil.which(root.COMPILER), shutil.which(root.EMULATOR)
PROGRAMS = {
    "dot": "#include <arm_neon.h>\nint main(void) { volatile int8_t x = 1; int8x16_t v = vdupq_n_s8(x);\n"
    "return vaddvq_s32(vdotq_s32(vdupq_n_s32(0), v, v)) - 16; }\n",
    "endless": "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n",
}


@pytest.mark.skipif(not (CROSS and HERE), reason="g++-aarch64-linux-gnu or qemu-user-static is not installed")
def test_the_older_processor_dies_of_a_new_instruction_and_a_late_program_is_ended(tmp_path: Path) -> None:
    """Or else the run on it would prove nothing."""
    for name, text in PROGRAMS.items():
        (tmp_path / f"{name}.cpp").write_text(text)
        flags = ["-O1", "-static", "-march=armv8.2-a+dotprod", "-o", str(tmp_path / name)]
        subprocess.run([str(CROSS), *flags, str(tmp_path / f"{name}.cpp")], check=True)
    newer, older = (Board(Root(tmp_path), pi, tmp_path, {}) for pi in (PI_5, PI_4))
    assert newer.execute(tmp_path / "dot").fault() is None
    assert str(older.execute(tmp_path / "dot").fault()).startswith("ended by SIGILL")
    assert "still running" in str(newer.execute(tmp_path / "endless", limit_s=0.2).fault())
