"""Spell an export as what makes it again: a command, or a call. Paths are cut to their names: a manifest travels."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

IN_PYTHON = "in Python:"
_GATES = "gates"


def spelled(model: str, *options: Mapping[str, Any]) -> str:
    """Return ``edgevit export MODEL ...`` with every option that was chosen."""
    words = ["edgevit", "export", model]
    for name, value in (pair for group in options for pair in group.items()):
        flag = f"--{name.replace('_', '-')}"
        if name == _GATES:
            words += [word for gate, limit in (value or {}).items() for word in ("--gate", f"{gate}={limit:g}")]
        elif value is True:
            words.append(flag)
        elif value not in (None, False):
            words += [flag, *_values(value)]
    return shlex.join(words)


def called(model: str, *options: Mapping[str, Any]) -> str:
    """Say which call made a bundle of a ``ModelDef``: no command line makes that again, since no name holds it."""
    chosen = [(name, value) for group in options for name, value in group.items() if value not in (None, False)]
    return f"{IN_PYTHON} edgevit.export({', '.join([f'<ModelDef {model!r}>', *map(_argument, chosen)])})"


def _argument(option: tuple[str, Any]) -> str:
    name, value = option
    if isinstance(value, (str, Path)):
        value = _values(value)[0]
    return f"{name}={dict(value) if isinstance(value, Mapping) else value!r}"


def _values(value: Any) -> list[str]:
    if isinstance(value, Path):
        return [value.name]
    if isinstance(value, str):
        return [_without_secrets(value)]
    if isinstance(value, Sequence):
        return [str(item) for item in value]
    return [str(value)]


def _without_secrets(text: str) -> str:
    """Cut a path to its name, and an address to what names the file: a token may stand in its query."""
    if "://" in text:
        parts = urlsplit(text)
        return urlunsplit((parts.scheme, parts.hostname or "", parts.path, "", parts.fragment))
    return Path(text).name if "/" in text else text
