"""One verb a file, imported when it is typed; every fault is one sentence on stderr and an exit code."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import edgevit
from edgevit.cli import VERBS, main, parser_of, top_help
from edgevit.cli.parsing import Parser, assignment, duration, number, sides_hw, size_hw, whole
from edgevit.errors import EngineError, RefusedError, UsageError, missing

Capture = pytest.CaptureFixture[str]
Run = Callable[[argparse.Namespace], int]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], None]:
    """Put a verb of the test's own in the place of ``list``."""

    def install(run: Run) -> None:
        module = ModuleType("edgevit.cli.list")
        vars(module).update(HELP="Try.", configure=lambda parser: None, run=run)
        monkeypatch.setitem(sys.modules, "edgevit.cli.list", module)

    return install


def python(code: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python in another process, as a user's shell would."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, input=stdin, check=False, timeout=120
    )


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["list"], ["list", "levit", "--json"], ["exprt"], ["export"]]
)
def test_what_needs_nothing_heavy_loads_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from edgevit.cli import main; main(sys.argv[1:]);"
        "heavy = {'numpy', 'torch', 'timm', 'rich', 'cv2', 'PIL', 'onnxruntime'};"
        "print(sorted({m.split('.')[0] for m in sys.modules} & heavy))"
    )
    assert python(code, *words).stdout.splitlines()[-1] == "[]"


def test_the_top_help_names_every_verb_and_imports_none(capsys: Capture) -> None:
    assert main([]) == main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in VERBS)
    loaded = python(
        "import sys, edgevit.cli as c; c.main([]); print([m for m in c.VERBS.values() if m in sys.modules])"
    )
    assert loaded.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", sorted(VERBS))
def test_every_verb_has_help_json_and_verbose(name: str, capsys: Capture) -> None:
    module = importlib.import_module(VERBS[name])
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert module.HELP.splitlines()[0] in text
    assert "--json" in text
    assert "--verbose" in text


def test_help_of_the_verbs_and_of_the_top_agree() -> None:
    lines = [line for line in top_help().splitlines() if line.startswith("  ")]
    assert [line.split()[0] for line in lines][: len(VERBS)] == list(VERBS)


def test_version(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"edgevit {edgevit.__version__}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["exprt"], "edgevit: There is no verb named 'exprt'. Did you mean export or predict? Type: edgevit --help\n"),
        (
            ["--json", "list"],
            "edgevit: The option --json stands before the verb; a verb comes first. Type: edgevit --help\n",
        ),
        (
            ["list", "--tsak", "x"],
            "edgevit: There is no option --tsak here. Did you mean --task? Type: edgevit list --help\n",
        ),
        (
            ["list", "--ta", "x"],
            "edgevit: There is no option --ta here. Did you mean --task? Type: edgevit list --help\n",
        ),
        (["list", "a", "b"], "edgevit: There is one word too many: 'b'. Type: edgevit list --help\n"),
        (["info"], "edgevit: The following arguments are required: BUNDLE|MODEL. Type: edgevit info --help\n"),
        (["predict", "x"], "edgevit: The following arguments are required: INPUT. Type: edgevit predict --help\n"),
        (["list", "--format", "onx"], "edgevit: There is no format named 'onx'. Did you mean onnx?"),
        (["list", "--task", "clasify"], "edgevit: There is no task named 'clasify'. Did you mean classify?"),
        (["list", "levitt"], "edgevit: There is no model named 'levitt'. Did you mean levit_"),
        (["bench", "x", "--for", "soon"], "edgevit: --for: expected a time such as 60s, 5m or 1h, not 'soon'."),
        (["bench", "x", "--for", "3s", "--iters", "3"], "edgevit: --for runs for a time and --iters for a count"),
        (["bench", "x", "--threads", "0"], "edgevit: --threads: expected a whole number from 1 to 1024, not '0'."),
        (["devices", "pixle-8"], "edgevit: There is no device named 'pixle-8'. Did you mean pixel-8"),
        (["verify", "x", "--golden", "--images", "y"], "edgevit: --golden uses the bundle's own sample"),
        (
            ["predict", "levit_128s", "a.jpg"],
            "edgevit: 'levit_128s' is a model, and here a bundle is needed. Type: edgevit export",
        ),
    ],
)
def test_a_wrong_command_line_gets_one_sentence_and_exit_code_two(
    words: list[str], sentence: str, capsys: Capture
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(sentence)
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("fault", "code", "sentence"),
    [
        (RefusedError("Too far off: 3 > 1."), 1, "edgevit: Too far off: 3 > 1.\n"),
        (UsageError("Not so."), 2, "edgevit: Not so.\n"),
        (EngineError("It broke."), 1, "edgevit: It broke.\n"),
        (missing("onnxruntime", "Running it", "onnx"), 3, "edgevit: Running it needs the package 'onnxruntime'"),
        (
            ModuleNotFoundError("No module named 'timm'", name="timm"),
            3,
            "edgevit: edgevit list needs the package 'timm'",
        ),
        (
            ModuleNotFoundError("No module named 'torch.x'", name="torch.x"),
            3,
            "edgevit: edgevit list needs the package 'torch'",
        ),
        (
            ModuleNotFoundError("No module named 'y'", name="y"),
            1,
            "edgevit: ModuleNotFoundError: No module named 'y'. This is a bug",
        ),
        (PermissionError(13, "Permission denied", "/x"), 3, "edgevit: /x: Permission denied."),
        (MemoryError(), 3, "edgevit: There is not enough memory"),
        (
            ZeroDivisionError("division\nby zero"),
            1,
            "edgevit: ZeroDivisionError: division by zero. This is a bug in edgevit",
        ),
    ],
)
def test_each_fault_has_its_sentence_and_code(
    fault: Exception, code: int, sentence: str, verb: Callable[[Run], None], capsys: Capture
) -> None:
    def run(args: argparse.Namespace) -> int:
        raise fault

    verb(run)
    assert main(["list"]) == code
    captured = capsys.readouterr()
    assert captured.err.startswith(sentence)
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert main(["list", "--verbose", "--json"]) == code
    captured = capsys.readouterr()
    assert "Traceback" in captured.err or isinstance(fault, ModuleNotFoundError)
    told = json.loads(captured.out)
    assert told["exit_code"] == code
    assert captured.err.endswith(f"edgevit: {told['message']}\n")


def test_an_interrupt_is_quiet(verb: Callable[[Run], None], capsys: Capture) -> None:
    def run(args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    verb(run)
    assert main(["list"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_goes_away_is_no_fault() -> None:
    code = "import sys; from edgevit.cli import main; sys.exit(main(['list', *sys.argv[1:]]))"
    for extra in ([], ["--json"]):
        reader, writer = os.pipe()
        os.close(reader)
        ended = subprocess.run(
            [sys.executable, "-c", code, *extra], stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60
        )
        os.close(writer)
        assert ended.stderr == b""
        assert ended.returncode == 141


def test_only_the_answer_reaches_stdout_when_a_machine_listens() -> None:
    code = """
import ctypes, os, sys, types
from edgevit.cli import console, main
def run(args):
    print("python prints")
    os.write(1, b"native writes\\n")
    ctypes.CDLL(None).printf(b"C prints into its buffer\\n")
    console.note("a note")
    console.answer({"done": "ö"})
    return 0
module = types.ModuleType("edgevit.cli.list")
vars(module).update(HELP="Try.", configure=lambda parser: None, run=run)
sys.modules["edgevit.cli.list"] = module
code = main(["list", "--json"])
print("after")
sys.exit(code)
"""
    ended = python(code)
    assert ended.stdout == '{"done": "ö"}\nafter\n'
    for words in ("python prints", "native writes", "C prints into its buffer", "a note"):
        assert words in ended.stderr
    assert ended.returncode == 0


def test_python_dash_m_runs_the_same() -> None:
    ended = subprocess.run([sys.executable, "-m", "edgevit", "exprt"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("edgevit: There is no verb named 'exprt'.")


def parsed(convert: Any, text: str) -> Any:
    parser = Parser(prog="edgevit try")
    parser.add_argument("--x", type=convert)
    return parser.parse_args(["--x", text]).x


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60), ("2m", 120), ("90", 90), ("0.5h", 1800), ("1.5 s", None)])
def test_durations(text: str, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(UsageError, match="such as 60s"):
            parsed(duration, text)
    else:
        assert parsed(duration, text) == seconds


@pytest.mark.parametrize("text", ["", "=1", "top1", "top1=", "top1=nan", "top1=high"])
def test_a_gate_must_be_a_name_and_a_number(text: str) -> None:
    with pytest.raises(UsageError, match="expected NAME=VALUE"):
        parsed(assignment, text)
    assert parsed(assignment, "relative=1e-3") == ("relative", 1e-3)


def test_numbers_and_sizes() -> None:
    assert parsed(whole(1, 9), "7") == 7
    for wrong in ("0", "10", "2.5", "x"):
        with pytest.raises(UsageError, match="whole number from 1 to 9"):
            parsed(whole(1, 9), wrong)
    for wrong in ("inf", "nan", "x"):
        with pytest.raises(UsageError, match="expected a number"):
            parsed(number, wrong)
    assert parsed(sides_hw, "480x640") == (480, 640)
    for wrong in ("480", "480x", "8x640", "480x9999", "axb"):
        with pytest.raises(UsageError, match="expected HEIGHTxWIDTH"):
            parsed(sides_hw, wrong)
    assert size_hw(None) is None
    assert size_hw([224]) == (224, 224)
    assert size_hw([256, 128]) == (256, 128)
    with pytest.raises(UsageError, match="3 were given"):
        size_hw([1, 2, 3])


def test_options_may_stand_between_the_words() -> None:
    from edgevit.cli import predict

    args = parser_of("predict", predict).parse_args(["b", "--topk", "2", "in", "--json", "out", "--limit", "3", "more"])
    assert (args.bundle, args.input, args.outputs) == ("b", "in", ["out", "more"])
    assert (args.topk, args.limit, args.json) == (2, 3, True)
    assert parser_of("predict", predict).parse_args(["b", "in"]).outputs == []


def test_no_abbreviations(capsys: Capture) -> None:
    from edgevit.cli import export

    parser = parser_of("export", export)
    with pytest.raises(UsageError, match=r"--forma here\. Did you mean --format"):
        parser.parse_args(["levit_128s", "--forma", "onnx"])
    assert main(["export", "levit_128s", "--forma", "onnx"]) == 2
    assert "--format" in capsys.readouterr().err


def test_a_full_disk_behind_stdout_is_told_as_such() -> None:
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-m", "edgevit", "list", "--json"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 3
    assert "No space left on device. Make room there." in done.stderr
