"""Say what the rules known of Apple's Neural Engine make of a Core ML package. Rules only: nothing here is executed.

Core ML alone decides, on the device; Xcode's performance report shows what it decided. The rules and their sources are
in coreml_rules.py. What breaks none is said to run on the Neural Engine, which Core ML may still decline.
"""

from __future__ import annotations

from .coreml_rules import ADVICE, REFUSALS
from .mil_file import Operation, read_program
from .rows import Op, Subject, View

ENGINE = "Neural Engine"
_ELSEWHERE = "CPU or GPU"
_WEIGHTS = "constexpr_"
_BORDER = ("fp16", "fp32")
_SCALING = ("add", "mul", "sub", "real_div")


def look(subject: Subject) -> tuple[View, ...]:
    """Hold each operation of a package against the rules."""
    operations = read_program(subject.path)
    packed = sum(1 for op in operations if op.kind.startswith(_WEIGHTS))
    front = _front(operations)
    ops = tuple(_row(op, front) for op in operations if not op.kind.startswith(_WEIGHTS))
    notes = ["rules of the Neural Engine; Core ML decides on the device, and Xcode's performance report shows it"]
    if packed:
        notes.append(f"weights stored compressed: {packed}; unpacking them is not counted")
    return (View(f"the {ENGINE}", ops, notes=tuple(notes)),)


def _front(operations: tuple[Operation, ...]) -> frozenset[str]:
    """Name the tensors that are still the picture itself: the input, and what only scales it in fp32."""
    made = {t.name for op in operations for t in op.outputs}
    found = {t.name for op in operations for t in op.inputs if t.name not in made}
    for op in operations:
        if op.kind in _SCALING and all(t.name in found and t.kind == "fp32" for t in op.inputs):
            found |= {t.name for t in op.outputs if t.kind == "fp32"}
    return frozenset(found)


def _row(op: Operation, front: frozenset[str]) -> Op:
    name = op.outputs[0].name if op.outputs else ""
    if op.kind == "classify":
        return Op(op.kind, "CPU", "rule", "Core ML looks the label up", name=name)
    if op.kind == "cast" and {t.kind for t in (*op.inputs, *op.outputs)} == set(_BORDER):
        return Op(op.kind, "CPU", "rule", "the border between the app's type and fp16", name=name)
    if name in front:
        return Op(op.kind, "CPU", "rule", "it scales the picture, in front of the border to fp16", name=name)
    for refuse in REFUSALS:
        if why := refuse(op):
            return Op(op.kind, _ELSEWHERE, "rule", why, True, name)
    slow = next(filter(None, (advise(op) for advise in ADVICE)), "")
    return Op(op.kind, ENGINE, "rule", slow, name=name)
