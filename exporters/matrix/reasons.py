"""Put what went wrong into a sentence for a table: short, of one line, without places on this machine. No torch."""

from __future__ import annotations

import re

_MOST = 300
_PLACES = re.compile(r"(?:/[\w.+-]+){2,}/")
"""Folders of this machine are no part of a reason."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Torch's messages have some, for a terminal."""

_OPERATORS = (
    re.compile(r"\b((?:aten|prim|quantized_decomposed|torchvision|tfl|odml|stablehlo|dim_order_ops)(?:\.|::)\w+)"),
    re.compile(r"\b(?:operator|operation|op|node|layer|function)s?(?: type| of type| for| named)?:? ['\"`<]([\w.:]+)"),
    re.compile(r"\bwith type ['\"`](\w+)['\"`]"),
    re.compile(r"['\"`]([\w.:]+)['\"`] (?:op|operator|node|layer)\b"),
)

_BLAMED = re.compile(r"\blayer\b.* is '[^']+' \(([\w.]+)[^)]*\)")

_STACK = ("File ", "Fatal Python error", "Current thread", "Thread ", "Extension modules")


def sentence(text: str) -> str:
    """Return a reason for a table: its first line, without places, not too long."""
    plain = _COLOURS.sub("", text)
    first = next((line.strip() for line in plain.splitlines() if line.strip()), "no reason given")
    told = " ".join(_PLACES.sub("", first).split())
    return told if len(told) <= _MOST else f"{told[: _MOST - 1]}…"


def failing_op(text: str) -> str | None:
    """Return the operator that a message names, if it names one."""
    found = (match for pattern in _OPERATORS for match in [pattern.search(text)] if match)
    return next((match[1].replace("::", ".") for match in found), None)


def blamed_op(note: str) -> str | None:
    """Return the operator of a note that names a layer (``blame.py`` writes them), and nothing of any other note."""
    found = _BLAMED.search(note)
    return found[1] if found else None


def last_words(printed: bytes) -> str:
    """Return the last line of what a process printed that is no line of a stack."""
    lines = [line.strip() for line in printed.decode("utf-8", "replace").splitlines()]
    told = [line for line in lines if line and not line.startswith(_STACK) and "most recent call first" not in line]
    return told[-1][:_MOST] if told else ""
