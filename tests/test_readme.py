"""Run what the README and a page of the docs say, in the order in which a reader would type it, without a network.

A block under ``<!-- not run: reason -->`` is read only: its options, targets and extras must exist all the same.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import import_law as law
import pytest

from edgevit.cli import VERBS, main, parser_of

README = law.ROOT.joinpath("README.md").read_text(encoding="utf-8")
PAGE = law.ROOT.joinpath("docs/page.md").read_text(encoding="utf-8")
REALTIME = law.ROOT.joinpath("docs/realtime.md").read_text(encoding="utf-8")
TRACKING = law.ROOT.joinpath("docs/tracking.md").read_text(encoding="utf-8")

_NOT_RUN = r"(?:<!-- not run: (?P<reason>[^>]+?) -->\s*)?"
_BLOCK = re.compile(_NOT_RUN + r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_SHELLS = ("sh", "bash", "console", "shell")


@dataclass(frozen=True)
class Block:
    """Hold one fenced block and the line of the README where its text begins."""

    language: str
    text: str
    line: int
    reason: str | None


def blocks(markdown: str) -> list[Block]:
    return [
        Block(found["language"], found["text"], markdown.count("\n", 0, found.start("text")) + 1, found["reason"])
        for found in _BLOCK.finditer(markdown)
    ]


def commands(block: Block) -> Iterator[tuple[int, list[str]]]:
    """Yield each command of a shell block: its line and its words, comments and continued lines dealt with."""
    line = block.line
    for text in re.split(r"(?<!\\)\n", block.text):
        words = shlex.split(text.replace("\\\n", " "), comments=True)
        if words:
            yield line, words
        line += text.count("\n") + 1


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", law.ROOT.joinpath("Makefile").read_text(encoding="utf-8"), re.M))


def extras() -> set[str]:
    table = law.ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8").partition("optional-dependencies]")[2]
    return set(re.findall(r"^(\w+) = \[", table.partition("\n[")[0], re.M))


def fault_of(words: list[str]) -> str | None:
    """Say what is wrong with a command that is read, not run."""
    program, rest = words[0], words[1:]
    if program == "edgevit":
        return fault_of_edgevit(rest)
    if program == "make":
        unknown = [word for word in rest if "=" not in word and word not in make_targets()]
        return f"make has no target {unknown}" if unknown else None
    if words[:2] == ["pip", "install"]:
        lists = [found for word in rest for found in re.findall(r"^(?:edgevit|\.)\[(.+)\]", word)]
        unknown = sorted({name for found in lists for name in found.split(",")} - extras())
        return f"there are no extras {unknown}" if unknown else None
    if program in ("git", "cd"):
        return None
    return f"nobody checks the command '{program}'"


def fault_of_edgevit(words: list[str]) -> str | None:
    if words[0].startswith("-"):
        return None if words[0] in ("--help", "--version") else f"edgevit has no option {words[0]}"
    try:
        parser_of(words[0], VERBS.load(words[0])).parse_args(words[1:])
    except Exception as fault:
        return str(fault)
    except SystemExit as stop:
        return None if not stop.code else "the options do not parse"
    return None


def run(
    markdown: str, namespace: dict[str, Any], call: Callable[[list[str]], int] = main, *, name: str = "README.md"
) -> int:
    """Run a document's blocks in order and return how many commands and programs were run."""
    count = 0
    for block in blocks(markdown):
        where = f"{name}, line {block.line}"
        assert block.language, f"{where}: say the language of the block"
        if block.language == "python":
            program = compile("\n" * (block.line - 1) + block.text, name, "exec")
            if not block.reason:
                exec(program, namespace)
                count += 1
        elif block.language in _SHELLS:
            for line, words in commands(block):
                where = f"{name}, line {line}: {shlex.join(words)}"
                fault = fault_of(words)
                assert fault is None, f"{where}: {fault}"
                if words[0] == "edgevit" and not block.reason:
                    assert call(words[1:]) == 0, where
                    count += 1
    return count


def test_the_readme_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(README, {"__name__": "readme"}) >= 5


def test_the_page_on_tracking_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    assert run(TRACKING, {"__name__": "tracking"}, name="docs/tracking.md") == 3


def test_the_page_on_running_live_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped bundle stands where the reader's export would."""
    pytest.importorskip("onnxruntime")
    from edgevit.weights import bundle_path

    monkeypatch.chdir(tmp_path)
    shipped = bundle_path("shvit_shapes")
    assert shipped is not None
    Path("shapes").symlink_to(shipped)
    assert run(REALTIME, {"__name__": "realtime"}, name="docs/realtime.md") >= 4


def test_the_page_on_the_page_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in ("onnxruntime", "uvicorn", "PIL"):
        pytest.importorskip(needed)
    monkeypatch.chdir(tmp_path)
    assert run(PAGE, {"__name__": "page"}, name="docs/page.md") == 1
    assert not list(tmp_path.iterdir()), "nothing is recorded that was not asked for"


def test_the_page_on_tracking_names_every_number_with_its_default() -> None:
    from dataclasses import asdict

    from edgevit.runtime.tasks.track_life import Tuning

    assert ", ".join(f"`{name}` {value:g}" for name, value in asdict(Tuning()).items()) in TRACKING


def test_the_readme_shows_the_two_commands() -> None:
    shown = {tuple(words[:2]) for block in blocks(README) if block.language in _SHELLS for _, words in commands(block)}
    assert {("make", "demo"), ("make", "test")} <= shown


_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.mark.parametrize(
    "link", [*_LINK.findall(README), *(f"docs/{link}" for link in _LINK.findall(TRACKING + REALTIME + PAGE))]
)
def test_a_link_to_a_file_leads_to_one(link: str) -> None:
    assert law.ROOT.joinpath(link).exists()


DOCUMENT = """
```sh
edgevit list --task classify \\
  --json   # a comment
git clone somewhere
```
<!-- not run: needs a phone -->
```sh
edgevit export shvit_s1 --format onnx
make demo
```
```python
x = 1
```
Between.
```python
assert x == 1
```
<!-- not run: needs the network -->

```python
raise SystemExit
```
"""


def test_blocks_are_run_in_order_and_share_their_names() -> None:
    called: list[list[str]] = []
    names: dict[str, Any] = {}

    def call(words: list[str]) -> int:
        called.append(words)
        return 0

    assert run(DOCUMENT, names, call) == 3
    assert called == [["list", "--task", "classify", "--json"]]
    assert names["x"] == 1


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("```sh\nedgevit lst\n```", "line 2: edgevit lst: There is no verb named 'lst'"),
        ("```sh\n\nedgevit list --colour\n```", "line 3: edgevit list --colour: "),
        ("```sh\nedgevit list\nedgevit list --colour\n```", "line 3"),
        ("<!-- not run: x -->\n```sh\nedgevit list --colour\n```", "line 3"),
        ("```sh\nmake coffee\n```", "make has no target"),
        ("```sh\npip install 'edgevit[onnx,coffee]'\n```", "no extras .'coffee'."),
        ("```sh\ncurl x | sh\n```", "nobody checks the command 'curl'"),
        ("```\nedgevit list\n```", "say the language"),
    ],
)
def test_a_readme_that_is_wrong_is_caught(document: str, fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        run(document, {}, lambda words: 0)


def test_a_command_that_fails_and_a_program_that_raises_are_caught() -> None:
    with pytest.raises(AssertionError, match=r"line 2: edgevit list"):
        run("```sh\nedgevit list\n```", {}, lambda words: 1)
    with pytest.raises(ZeroDivisionError):
        run("```python\n1 / 0\n```", {})
    with pytest.raises(SyntaxError):
        run("<!-- not run: x -->\n```python\n1 +\n```", {})
