"""Read a .pte file without ExecuTorch: which delegates it calls, what stands in them, what is left to plain kernels.

A .pte is a FlatBuffer (ExecuTorch's program.fbs) with segments of data behind it; a delegate's part is a blob of its
own, for XNNPACK and Vulkan a FlatBuffer again. Nothing is executed.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from edgevit.errors import BundleError

from .flatbuffer import Table, read_root

_T = TypeVar("_T")

PLAIN = "plain kernels"
"""Where an operator runs that no delegate took."""

_MARK, _HEADER = b"ET12", b"eh00"
_PLANS, _INLINE, _SEGMENTS, _CONSTANTS, _NAMED = 1, 3, 4, 5, 7
_PLAN_CHAINS, _PLAN_OPERATORS, _PLAN_DELEGATES = 5, 6, 7
_CHAIN_INSTRUCTIONS = 2
_KERNEL_CALL, _DELEGATE_CALL = 1, 2
_BLOBS = {b"XH00": "xnnpack", b"VH00": "vulkan"}

_UNION = """
Add FullyConnected Softmax Sigmoid StaticTranspose Clamp Conv2d Div StaticResizeBilinear2D StaticConstantPad
AvgPooling2d Minimum DepthwiseConv2d MaxPooling2d Multiply Subtract Floor Convert GlobalAvgPooling2d StaticReshape
ArgMaxPooling2d SquareRoot Ceiling Hardswish LeakyReLU Maximum Negate Square ELU Abs PReLU Concatenate2 Concatenate3
Concatenate4 StaticSlice ScaledDotProductAttention BatchMatrixMultiply Concatenate5 ConvTranspose2d
ReciprocalSquareRoot Log Gelu Tanh Exp Sin Copy Cos
"""
_XNNPACK_NODES = _UNION.split()
"""XNodeUnion of XNNPACK's schema.fbs, from 1 on."""


@dataclass(frozen=True)
class Contents:
    """Hold what a .pte file calls: delegates by id (one entry a call), and operators by where they run."""

    delegates: tuple[str, ...]
    operators: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(operator, where) -> how often; where is a delegate's id or PLAIN."""
    borders: Mapping[str, int] = field(default_factory=dict)
    """Those of PLAIN that are called before the first delegate or after the last."""

    def plain(self) -> dict[str, int]:
        """Return the operators that no delegate took."""
        return {name: count for (name, where), count in self.operators.items() if where == PLAIN}


def delegation(path: Path) -> list[tuple[str, str, int]]:
    """Return (operator, where it runs, how often) of a .pte file, without executing it."""
    return [(name, where, count) for (name, where), count in read_contents(path).operators.items()]


def read_contents(path: Path) -> Contents:
    """Read what a .pte file calls, or raise if it is none."""
    return _read(path, _contents)


def weight_bytes(path: Path) -> int:
    """Add up the segments that hold weights: those of the delegates, and those of plain kernels."""
    return _read(path, _weight_bytes)


def _read(path: Path, reader: Callable[[memoryview, Table], _T]) -> _T:
    try:
        data = memoryview(path.read_bytes())
        if bytes(data[4:8]) != _MARK:
            raise ValueError("it does not begin as one")
        return reader(data, read_root(data))
    except (struct.error, ValueError, OSError) as exc:
        raise BundleError(f"{path.name} is not a readable ExecuTorch file ({exc}). Copy the bundle again.") from exc


def _weight_bytes(data: memoryview, program: Table) -> int:
    segments = program.tables(_SEGMENTS)
    places = {entry.number(1, "I") for entry in program.tables(_NAMED)}
    if program.has(_CONSTANTS):
        places.add(program.table(_CONSTANTS).number(0, "I"))
    return sum(_at(segments, place).number(1, "Q") for place in places)


def _contents(data: memoryview, program: Table) -> Contents:
    base = struct.unpack_from("<Q", data, 24)[0] if bytes(data[8:12]) == _HEADER else 0
    delegates: list[str] = []
    operators: Counter[tuple[str, str]] = Counter()
    borders: Counter[str] = Counter()
    for plan in program.tables(_PLANS):
        kernels = [".".join(filter(None, (o.text(0), o.text(1)))) for o in plan.tables(_PLAN_OPERATORS)]
        backends = [(d.text(0), _blob(data, program, d, base)) for d in plan.tables(_PLAN_DELEGATES)]
        since: Counter[str] = Counter()
        seen = len(delegates)
        for kind, place in _calls(plan):
            if kind == _KERNEL_CALL:
                operators[_at(kernels, place), PLAIN] += 1
                since[_at(kernels, place)] += 1
                continue
            name, inside = _at(backends, place)
            operators.update({(operator, name): count for operator, count in inside.items()})
            borders.update(since if len(delegates) == seen else {})
            since.clear()
            delegates.append(name)
        borders.update(since if len(delegates) > seen else {})
    return Contents(tuple(delegates), dict(operators), dict(borders))


def _calls(plan: Table) -> Iterator[tuple[int, int]]:
    """Yield (kind, number of the operator or the delegate) of every call, in their order."""
    for chain in plan.tables(_PLAN_CHAINS):
        for instruction in chain.tables(_CHAIN_INSTRUCTIONS):
            kind = instruction.number(0, "B")
            if kind in (_KERNEL_CALL, _DELEGATE_CALL):
                yield kind, instruction.table(1).number(0, "i")


def _blob(data: memoryview, program: Table, delegate: Table, base: int) -> Counter[str]:
    """Count the operators in a delegate's blob; one that cannot be looked into counts as one."""
    held = delegate.table(1)
    place = held.number(1, "I")
    if held.number(0, "b") == 0:
        blob = _at(program.tables(_INLINE), place).content(0)
    else:
        segment = _at(program.tables(_SEGMENTS), place)
        start = base + segment.number(0, "Q")
        blob = data[start : start + segment.number(1, "Q")]
    kind = _BLOBS.get(bytes(blob[4:8]))
    if kind is None:
        return Counter({f"whole graph ({len(blob):,} bytes)": 1})
    graph = read_root(blob[struct.unpack_from("<I", blob, 10)[0] :])
    if kind == "vulkan":
        return Counter(call.text(1) for call in graph.tables(1))
    return Counter(_xnnpack_name(node.number(0, "B")) for node in graph.tables(1))


def _xnnpack_name(number: int) -> str:
    return _XNNPACK_NODES[number - 1] if 0 < number <= len(_XNNPACK_NODES) else f"XNNPACK node {number}"


def _at(items: list[_T], place: int) -> _T:
    if not 0 <= place < len(items):
        raise ValueError("it names a part that it has not")
    return items[place]
