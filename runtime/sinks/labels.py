"""Give each of several sources a short name for files and windows: safe, unique, the same for the same list.

It is the last word of the source's own name (``hall.mp4`` is ``hall``), with the words before it where two would be
alike or a bare number. Of an address, only the host and the path are used: no login, nothing behind a question mark, no
word that sets something, as ``password=…`` does in the paths of some cameras. What has no such word gets its number.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

_MOST_WORDS = 3
_MOST_LETTERS = 40
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")


def labels_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return a label for each, in their order. No two differ by the case of letters alone."""
    words = [words_of(name) or [str(number)] for number, name in enumerate(names)]
    alike: dict[str, list[int]] = {}
    for number, own in enumerate(words):
        alike.setdefault(_folded(_joined(own, 1)), []).append(number)
    labels = [_joined(own, 1) for own in words]
    for group in alike.values():
        for count in range(2, _MOST_WORDS + 1) if len(group) > 1 else ():
            longer = [_joined(words[number], count) for number in group]
            if len(set(map(_folded, longer))) == len(group):
                for number, label in zip(group, longer, strict=True):
                    labels[number] = label
                break
    return _numbered(labels)


def words_of(name: str) -> list[str]:
    """Return what a source's name is made of, the nearest last; what cannot be in a file's name is left out."""
    scheme, colon, rest = name.partition("://")
    if not colon:
        found = list(Path(name).parts)
    else:
        place, _, query = rest.partition("?")
        if "@" in query:  # the question mark may be a letter of a password, and who knows where that ends
            return []
        host, *path = re.split(r"[/#]", place.rpartition("@")[2])
        found = [scheme, host.replace(":", "-"), *(word for word in path if not re.search("[=&;:…]", word))]
    if found:
        found[-1] = _SUFFIX.sub("", found[-1]) if len(found) > 2 or not colon else found[-1]
    return [clean for word in found if (clean := _clean(word))]


def beside(place: str | os.PathLike[str], label: str) -> str:
    """Return the name of a source's own file: ``seen.mkv`` becomes ``seen-hall.mkv``."""
    path = Path(place)
    return str(path.with_name(f"{path.stem}-{label}{path.suffix}"))


def _joined(words: Sequence[str], count: int) -> str:
    """Join the last words; a number alone says nothing, so the one before it comes along."""
    taken = list(words[-count:])
    while "".join(taken).isdecimal() and len(taken) < len(words):
        taken.insert(0, words[-len(taken) - 1])
    return "-".join(taken)[-_MOST_LETTERS:].strip("._-")


def _numbered(labels: Sequence[str]) -> tuple[str, ...]:
    """Put a number behind those that are still alike; who comes first keeps the name as it is."""
    taken, made = set(map(_folded, labels)), []
    seen: set[str] = set()
    for label in labels:
        own, number = label, 1
        while _folded(own) in seen or (number > 1 and _folded(own) in taken):
            number += 1
            own = f"{label}-{number}"
        seen.add(_folded(own))
        made.append(own)
    return tuple(made)


def _clean(word: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", unicodedata.normalize("NFC", word)).strip("._-")


def _folded(label: str) -> str:
    """Return how file systems that know no case compare it."""
    return unicodedata.normalize("NFC", label.casefold())
