"""Parse a verb's options: argparse, with errors as sentences, nearest names, and no abbreviations."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from ..errors import UsageError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|min|h)?")
_NEGATIVE = re.compile(r"-\.?\d[\d.,\-]*$")
_SECONDS = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class Parser(argparse.ArgumentParser):
    """Parse like argparse; answer like edgevit.

    Abbreviations are off: a script that types ``--prec`` would break on the day that a second such option appears.
    Options may stand between the words, as in ``predict BUNDLE INPUT --topk 2 OUTPUT``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)
        # argparse knows that -5 is a value and no option; here -5,3,20,20 is one too.
        self._negative_number_matcher = _NEGATIVE

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        found, extra = self.parse_known_intermixed_args(args, namespace)
        if extra:
            self.error(self._not_known(extra))
        return found

    def error(self, message: str) -> NoReturn:
        text = message.removeprefix("argument ").rstrip(".")
        end = "" if text.endswith("?") else "."
        raise UsageError(f"{text[:1].upper()}{text[1:]}{end} Type: {self.prog} --help")

    def _not_known(self, extra: Sequence[str]) -> str:
        option = next((word for word in extra if word.startswith("-")), None)
        if option is None:
            return f"there is one word too many: '{extra[0]}'"
        name = option.split("=")[0]
        known = sorted(self._option_string_actions)
        begun = [k for k in known if name.startswith("--") and k.startswith(name)]
        near = begun or difflib.get_close_matches(name, known, n=2, cutoff=0.6)
        return f"there is no option {name} here" + (f". Did you mean {' or '.join(near)}?" if near else "")


def whole(low: int, high: int) -> Any:
    """Return a type for argparse: a whole number within limits."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, not '{text}'")
        return value

    return convert


def number(text: str) -> float:
    """Read a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value - value != 0:
        raise argparse.ArgumentTypeError(f"expected a number, not '{text}'")
    return value


def duration(text: str) -> float:
    """Read ``60s``, ``2m`` or ``90`` as seconds."""
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < seconds <= 24 * 3600:
        raise argparse.ArgumentTypeError(f"expected a time such as 60s, 5m or 1h, not '{text}'")
    return seconds


def latency(text: str) -> float:
    """Read ``80ms`` or ``0.5s`` as milliseconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text.strip().lower())
    milliseconds = float(match[1]) * (1000 if match[2] == "s" else 1) if match else 0.0
    if not 0 < milliseconds <= 3_600_000:
        raise argparse.ArgumentTypeError(f"expected a time such as 80ms or 0.5s, not '{text}'")
    return milliseconds


def positive(text: str) -> float:
    """Read a number above 0."""
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, not '{text}'")
    return value


def size_hw(values: Sequence[int] | None) -> tuple[int, int] | None:
    """Read ``--imgsz N`` or ``--imgsz H W``."""
    if values is None:
        return None
    if len(values) > 2:
        raise UsageError(f"--imgsz takes one number, or height and width; {len(values)} were given.")
    return (values[0], values[-1])


def sides_hw(text: str) -> tuple[int, int]:
    """Read ``480x640``, height and width."""
    match = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text.strip().lower())
    sides = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(16 <= side <= 4096 for side in sides):
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH from 16x16 to 4096x4096, not '{text}'")
    return sides


def assignment(text: str) -> tuple[str, float]:
    """Read ``NAME=VALUE`` with a number as the value."""
    name, equals, value = text.partition("=")
    try:
        return (name.strip(), number(value)) if equals and name.strip() else _no_assignment(text)
    except argparse.ArgumentTypeError:
        return _no_assignment(text)


def _no_assignment(text: str) -> NoReturn:
    raise argparse.ArgumentTypeError(f"expected NAME=VALUE with a number, such as top1=0.98, not '{text}'")
