"""Stamp an ONNX file with the oldest versions that hold what is in it, say who reads those, and strip it of remarks.

A runtime refuses a file for its stamps alone, whatever it holds ("Unsupported model IR version: 10, max supported IR
version: 9"; microsoft/onnxruntime#20559). Exporters stamp what their own library is at, and ONNX Runtime's tools name
every set of operators that they know; neither is needed by the nodes.

Sources: ONNX's table of versions, as onnx.helper has it, and ONNX Runtime's page "Compatibility" (read 2026-11). That
page ends with 1.20 and opset 21; for the two opsets after it stands a release that is sure to read them, so a minimum
may be too strict and never too lax.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_OWN = ("", "ai.onnx")
_READ_SINCE = ((19, "1.16"), (20, "1.17"), (21, "1.18"), (22, "1.21"), (23, "1.23"))
"""Newest opset of an ONNX Runtime release; the first is the oldest release that edgevit's files are made for."""


def stamp(onnx: Any, model: Any) -> int:
    """Drop the sets of operators that no node uses, lower the IR version to what the opset needs, return the opset."""
    used = set(domains(model.graph)) | {domain for function in model.functions for domain in domains(function)}
    kept = [entry for entry in model.opset_import if entry.domain in used or entry.domain in _OWN]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    opset = max(int(entry.version) for entry in kept if entry.domain in _OWN)
    if not model.functions:  # they came with an IR version of their own
        needed = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
        model.ir_version = min(model.ir_version, needed)
    return opset


def domains(graph: Any) -> Iterator[str]:
    """Yield the domain of each node, those inside of branches too."""
    for node in graph.node:
        yield node.domain
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from domains(inner)


def oldest_runtime(opset: int) -> str:
    """Return the oldest ONNX Runtime that reads a file of an opset."""
    return next(version for newest, version in _READ_SINCE if opset <= newest)


_REMARKS = ("doc_string", "metadata_props")


def strip(message: Any) -> None:
    """Remove the remarks from every part of a model, at any depth.

    The exporter leaves Python stack traces on nodes and values, in the bodies of branches and functions too: paths
    of this machine, and most of a small file.
    """
    for name in _REMARKS:
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    if message.DESCRIPTOR.name == "TensorProto":
        return  # looking further would copy the weights
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in (value,) if hasattr(value, "ListFields") else value:
                strip(part)
