"""See what XNNPACK takes of a TFLite file, in the interpreter that edgevit runs; for a GPU, what its rules say.

Executed: after ``allocate_tensors`` the interpreter lists the file's operators and, behind them, one DELEGATE node for
each part that XNNPACK took. The interpreter does not say which operators a part holds, but it says the part's inputs
and outputs: walking back from these to those meets exactly the operators inside.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from typing import Any

from edgevit.runtime.engines import EngineOptions
from edgevit.runtime.engines.litert import load

from .litert_gpu import why_refused
from .litert_xnnpack import why_left
from .rows import Op, Subject, View
from .tflite_file import Operator, operators_of

_DELEGATE = "DELEGATE"
_PLAIN = "LiteRT's own kernels"

Details = Mapping[str, Any]


def look(subject: Subject) -> tuple[View, ...]:
    """Say what runs on XNNPACK, and what on the GPU where the device has one."""
    engine = load(subject.path, subject.graph, EngineOptions())
    try:
        nodes: list[Details] = engine.interpreter._get_ops_details()  # the one door to the operators
        delegates = [node for node in nodes if node["op_name"] == _DELEGATE]
        plain = [node for node in nodes if node["op_name"] != _DELEGATE]
        taken = inside(plain, delegates)
        operators = operators_of(engine.interpreter, plain, subject.path)
        note = f"{engine.description}, on {platform.machine()}: {len(delegates)} parts delegated"
    finally:
        engine.close()
    gpu = _has_gpu(subject)
    processor = View("XNNPACK", tuple(_on_cpu(op, op.index in taken) for op in operators), not gpu, (note,))
    return (processor, _gpu_view(subject, operators)) if gpu else (processor,)


def inside(plain: Iterable[Details], delegates: Iterable[Details]) -> frozenset[int]:
    """Return the places of the operators that stand in the delegated parts."""
    makers = {int(tensor): (place, node) for place, node in enumerate(plain) for tensor in node["outputs"]}
    found: set[int] = set()
    for delegate in delegates:
        given = {int(tensor) for tensor in delegate["inputs"]}
        todo = [int(tensor) for tensor in delegate["outputs"]]
        while todo:
            tensor = todo.pop()
            if tensor in given or tensor not in makers:
                continue
            place, node = makers[tensor]
            if place not in found:
                found.add(place)
                todo += [int(t) for t in node["inputs"]]
    return frozenset(found)


def _on_cpu(op: Operator, taken: bool) -> Op:
    if taken:
        return Op(op.kind, "XNNPACK", "executed", name=f"#{op.index}")
    return Op(op.kind, _PLAIN, "executed", why_left(op), True, f"#{op.index}")


def _has_gpu(subject: Subject) -> bool:
    units = subject.device.accelerators if subject.device else ()
    # A TFLite file reaches the GPU through the delegate of phones; LiteRT has none for the boards.
    return bool(subject.device and subject.device.kind in ("phone", "tablet") and any(a.kind == "gpu" for a in units))


def _gpu_view(subject: Subject, operators: tuple[Operator, ...]) -> View:
    ops = []
    for op in operators:
        why = why_refused(op)
        ops.append(Op(op.kind, "CPU" if why else "GPU", "rule", why, bool(why), f"#{op.index}"))
    notes = ["rules of the TFLite GPU delegate; nothing was run on a GPU"]
    if any(op.falls_back for op in ops):
        notes.append("by default the delegate takes only the largest connected part of what it could take")
    device = subject.device.name if subject.device else ""
    return View(f"the GPU of {device}", tuple(ops), notes=tuple(notes))
