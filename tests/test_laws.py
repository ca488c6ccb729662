"""Keep the house laws that a script can see: sizes, names, nothing unfinished, nothing unpickled, no places."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import import_law as law
import pytest

MOST_LINES = 300
MOST_BYTES = 4 << 20
LARGE = {"edgevit/weights/hit_nano-onnx-fp32/track/model.onnx": 10 << 20}
"""The one exception: with it a tracker runs right after the install, on boards that have no torch to make it with."""
FOLDERS = (".ci", "benchmarks", "docs", "edgevit", "tests", *law.LINKED)
MADE_BY_TOOLS = {"__pycache__", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
ITSELF = Path(__file__).resolve()


def tree() -> Iterator[Path]:
    """Yield every file of the project: the top level and its folders, each once, nothing that a tool made."""
    # Where the tree is a second one of a repository, .git is a file.
    yield from (path for path in law.ROOT.iterdir() if path.is_file() and path.name not in (".coverage", ".git"))
    for folder in FOLDERS:
        for path in sorted((law.ROOT / folder).rglob("*")):
            linked = folder == "edgevit" and path.relative_to(law.ROOT / folder).parts[0] in law.LINKED
            if path.is_file() and not linked and MADE_BY_TOOLS.isdisjoint(path.parts):
                yield path


def texts() -> Iterator[tuple[Path, str]]:
    """Yield every file that is text, but for this one, which must spell what it forbids."""
    for path in tree():
        data = path.read_bytes()
        if b"\0" not in data[:4096] and path.resolve() != ITSELF:
            yield path.relative_to(law.ROOT), data.decode("utf-8")


def sources() -> Iterator[tuple[Path, str]]:
    """Yield the product's sources, Python and C++."""
    for path, text in texts():
        if path.suffix in (".py", ".cpp", ".h", ".cu") and path.parts[0] != "tests":
            yield path, text


def test_no_module_is_longer_than_anybody_reads() -> None:
    long = {str(path): text.count("\n") for path, text in sources() if text.count("\n") > MOST_LINES}
    assert not long, f"split them by idea; {MOST_LINES} lines are the most"


def test_a_file_is_named_by_the_thing_in_it() -> None:
    vague = re.compile(r"(?:^|_)(?:utils?|core|common|helpers?|misc|stuff)$")
    parts = {part for path in tree() for part in path.relative_to(law.ROOT).with_suffix("").parts}
    assert sorted(part for part in parts if vague.search(part)) == []


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
    found = [f"{path}: {match[0]}" for path, text in texts() for match in later.finditer(text)]
    assert found == []


def test_no_file_is_too_big_to_clone() -> None:
    allowed = {law.ROOT / path: size for path, size in LARGE.items()}
    assert [str(path) for path in tree() if path.stat().st_size > allowed.get(path, MOST_BYTES)] == []


def test_nothing_names_a_package_registry_or_a_place_on_one_machine() -> None:
    places = re.compile(
        # Each word is broken by a class of one letter, so that the law does not break itself.
        r"p[y]pi[.]|p[y]thonhosted|n[p]mjs|a[n]aconda[.]org|d[o]wnload[.]pytorch|d[e]b[.]debian"
        r"|--(?:extra-)?index-url|--find-links|(?<![\w.])/(?:work|root|Users|home)/\w"
    )
    found = [f"{path}: {match[0]}" for path, text in texts() for match in places.finditer(text)]
    assert found == []


def dangerous(call: ast.Call) -> str | None:
    """Say what a call could unpickle."""
    name = ast.unparse(call.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name.split(".")[0] in ("pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"):
        return f"{name} runs what it reads"
    if name == "torch.load" and given.get("weights_only") != "True":
        return "torch.load without weights_only=True runs what it reads"
    if name in ("torch.jit.load", "torch.hub.load", "torch.export.load"):
        return f"{name} runs what it reads"
    if given.get("allow_pickle", "False") != "False":
        return f"{name} with allow_pickle runs what it reads"
    return None


def dangers(text: str) -> list[str]:
    return [found for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and (found := dangerous(node))]


def test_nothing_is_ever_unpickled() -> None:
    found = [f"{path}: {danger}" for path, text in sources() if path.suffix == ".py" for danger in dangers(text)]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle\npickle.load(f)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.jit.load(path)",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_a_planted_unpickling_is_caught(text: str) -> None:
    assert len(dangers(text)) == 1


@pytest.mark.parametrize(
    ("name", "text", "law_test"),
    [
        ("long.py", "x = 1\n" * (MOST_LINES + 1), test_no_module_is_longer_than_anybody_reads),
        ("box_utils.py", "", test_a_file_is_named_by_the_thing_in_it),
        ("common/a.py", "", test_a_file_is_named_by_the_thing_in_it),
        ("a.py", "# TODO: later\n", test_nothing_is_left_for_later),
        ("a.py", "def f(): raise NotImplementedError\n", test_nothing_is_left_for_later),
        ("a.bin", "x" * (MOST_BYTES + 1), test_no_file_is_too_big_to_clone),
        (
            "a.md",
            "see https://" + "py" + "pi.org/project/x",
            test_nothing_names_a_package_registry_or_a_place_on_one_machine,
        ),
        ("a.md", "it lies in /home/me/x", test_nothing_names_a_package_registry_or_a_place_on_one_machine),
        ("a.py", "torch.load(path)", test_nothing_is_ever_unpickled),
    ],
)
def test_a_planted_breach_is_caught(
    name: str, text: str, law_test: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(law, "ROOT", tmp_path)
    law_test()
    planted = tmp_path / "runtime" / name
    planted.parent.mkdir(parents=True)
    planted.write_text(text)
    with pytest.raises(AssertionError):
        law_test()
