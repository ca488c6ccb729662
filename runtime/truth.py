"""Find out which class each test picture belongs to, and say by which rule; a folder that fits no rule is refused.

Sub-folders first, else the beginnings of the file names; matched with the bundle's ``label_ids``, else its labels, else
(sub-folders only) class numbers, else sorted order when there are as many of them as classes. A rule holds only if
it explains EVERY sub-folder or file: pictures that are quietly left out would make the figure a lie.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from edgevit.errors import InputError, UnsupportedError
from edgevit.pictures import list_pictures, read_picture
from edgevit.registry import unknown_name
from edgevit.scenes import shapes
from edgevit.spec import Spec

from .frame import Frame

_SYNTHETIC = "synthetic:"
_DEFAULT_COUNT = 1000
_OPTIONS = ("count", "start", "split", "seed", "size")


@dataclass(frozen=True)
class Sample:
    """Hold one picture with its truth; it is read when it is needed."""

    name: str
    label: int
    read: Callable[[], Frame]


@dataclass(frozen=True)
class Truth:
    """Hold the test pictures, the rule that gave them their classes, and what is worth saying about them."""

    samples: tuple[Sample, ...]
    rule: str
    notes: tuple[str, ...] = ()

    def spread(self, limit: int) -> Truth:
        """Return ``limit`` samples, as many of each class as can be: the first ones would be of a few classes only."""
        if limit >= len(self.samples):
            return self
        groups: dict[int, list[Sample]] = {}
        for sample in self.samples:
            groups.setdefault(sample.label, []).append(sample)
        turns = [s for turn in zip_longest(*groups.values()) for s in turn if s is not None]
        chosen = turns[:limit] if limit >= len(groups) else [turns[n * len(groups) // limit] for n in range(limit)]
        note = f"{limit} of {len(self.samples)} pictures, taken evenly from the classes"
        return Truth(tuple(chosen), self.rule, (*self.notes, note))


def find_samples(where: str | Path, spec: Spec, classes: int) -> Truth:
    """Return the pictures of a folder, or of ``synthetic://shapes?count=2000&split=test``, with their classes."""
    if str(where).startswith(_SYNTHETIC):
        return _rendered(str(where), spec)
    root = Path(where)
    loose = list_pictures(root)
    folders = {
        folder.name: list_pictures(folder, recursive=True)
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith((".", "__"))
    }
    folders = {name: pictures for name, pictures in folders.items() if pictures}
    if folders:
        truth = _by_folder(folders, spec, classes)
        note = f"{len(loose)} pictures beside the sub-folders have no class and were left out"
        return Truth(truth.samples, truth.rule, (note,) if loose else ())
    if not loose:
        raise InputError(f"{root} holds no pictures, nor do its sub-folders. Expected a sub-folder for each class.")
    return _by_prefix(loose, spec, classes)


def _by_folder(folders: Mapping[str, Sequence[Path]], spec: Spec, classes: int) -> Truth:
    names = sorted(folders)
    ids, labels = _numbers_of(spec.label_ids), label_table(spec.labels)
    indices = {name: int(name) for name in names if name.isdecimal() and int(name) < classes}
    order = {name: n for n, name in enumerate(names)} if len(names) == classes else {}
    rules = {
        "sub-folders are label ids": {n: ids[n.casefold()] for n in names if n.casefold() in ids},
        "sub-folders are label names": {n: labels[normal(n)] for n in names if normal(n) in labels},
        "sub-folders are class numbers": indices,
        "sub-folders in sorted order, as many as classes": order,
    }
    rule, found = _that_explains(names, rules, "sub-folder", spec, classes)
    return Truth(tuple(_sample(path, found[name]) for name in names for path in folders[name]), rule)


def _by_prefix(pictures: Sequence[Path], spec: Spec, classes: int) -> Truth:
    stems = {path.stem: path for path in pictures}
    first = {stem: stem.partition("_")[0] for stem in stems if "_" in stem}
    ids, labels = _numbers_of(spec.label_ids), label_table(spec.labels)
    prefixes = sorted(set(first.values()))
    order = {p: n for n, p in enumerate(prefixes)} if len(prefixes) == classes else {}
    by_id = {stem: ids.get(re.split(r"[^0-9A-Za-z]", stem)[0].casefold()) for stem in stems}
    by_label = {stem: _longest_label(stem, labels) for stem in stems}
    rules = {
        "file names begin with label ids": {s: n for s, n in by_id.items() if n is not None},
        "file names begin with label names": {s: n for s, n in by_label.items() if n is not None},
        "beginnings of file names in sorted order, as many as classes": {
            stem: order[prefix] for stem, prefix in first.items() if prefix in order
        },
    }
    rule, found = _that_explains(list(stems), rules, "file", spec, classes)
    return Truth(tuple(_sample(path, found[path.stem]) for path in pictures), rule)


def _that_explains(
    names: Sequence[str], rules: Mapping[str, Mapping[str, int]], kind: str, spec: Spec, classes: int
) -> tuple[str, Mapping[str, int]]:
    for rule, found in rules.items():
        if len(found) == len(names):
            return rule, found
    best = max(rules.values(), key=len)
    strange = [name for name in names if name not in best]
    shown = ", ".join(f"'{name}'" for name in strange[:3]) + (" …" if len(strange) > 3 else "")
    examples = [*spec.label_ids[:2], *spec.labels[:2]]
    raise InputError(
        f"{len(strange)} of {len(names)} {kind}s fit no class of the bundle, such as {shown}. Expected a sub-folder "
        f"for each class, named by label id, label or number from 0 to {classes - 1}; or file names that begin so"
        + (f", such as {', '.join(examples)}." if examples else ".")
    )


def label_table(labels: Sequence[str]) -> dict[str, int]:
    """Return every unmistakable spelling of the labels: ``tench, Tinca tinca`` goes by each of its two names as well.

    A name that two classes share ("crane") stands for neither.
    """
    parts = _unmistakable((part, n) for n, label in enumerate(labels) for part in label.split(","))
    return {**parts, **_unmistakable((label, n) for n, label in enumerate(labels))}


def _unmistakable(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    numbers: dict[str, set[int]] = {}
    for name, number in pairs:
        numbers.setdefault(normal(name), set()).add(number)
    return {name: min(found) for name, found in numbers.items() if len(found) == 1 and name}


def normal(name: str) -> str:
    """Return a name in lower case with ``_`` for everything that is neither letter nor digit."""
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_")


def _longest_label(stem: str, labels: Mapping[str, int]) -> int | None:
    words = normal(stem).split("_")
    tries = ("_".join(words[:n]) for n in range(len(words), 0, -1))
    return next((labels[name] for name in tries if name in labels), None)


def _numbers_of(ids: Iterable[str]) -> dict[str, int]:
    return {name.casefold(): n for n, name in enumerate(ids)}


def _sample(path: Path, label: int) -> Sample:
    return Sample(str(path), label, lambda: Frame(read_picture(path), "rgb", time.monotonic_ns(), 0, str(path)))


def _rendered(uri: str, spec: Spec) -> Truth:
    scene, options = _parse_synthetic(uri)
    if scene != "shapes":
        raise unknown_name("built-in set of test pictures", scene, ("shapes",), ask="synthetic://shapes?count=1000")
    table = label_table(spec.labels)
    if any(normal(label) not in table for label in shapes.LABELS):
        raise UnsupportedError(
            f"{uri} shows {', '.join(shapes.LABELS)}, and the bundle's labels are others. Give a folder of its classes."
        )
    split = options.get("split", "test")
    seed = shapes.split_seed(split) if "seed" not in options else _whole(options, "seed", 0)
    count, size = _whole(options, "count", _DEFAULT_COUNT), _whole(options, "size", shapes.SIZE)
    start = _whole(options, "start", 0)
    numbers = [table[normal(label)] for label in shapes.LABELS]

    def sample(index: int) -> Sample:
        def read() -> Frame:
            return Frame(shapes.render(index, seed=seed, size=size)[0], "rgb", time.monotonic_ns(), index, uri)

        return Sample(f"{uri}#{index}", numbers[index % len(numbers)], read)

    named = f"seed {seed}" if "seed" in options else f"the split '{split}'"
    return Truth(tuple(sample(start + n) for n in range(count)), f"rendered, of {named}")


def _parse_synthetic(uri: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(uri)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for key in options:
        if key not in _OPTIONS:
            raise unknown_name("option of synthetic://shapes", key, _OPTIONS, ask="synthetic://shapes?count=1000")
    return parts.netloc, options


def _whole(options: Mapping[str, str], key: str, default: int) -> int:
    text = options.get(key, str(default))
    if not text.isdecimal() or (key == "count" and int(text) == 0):
        raise InputError(f"'{key}' must be a whole number, not '{text}'. Type: synthetic://shapes?{key}={default}")
    return int(text)
