"""Hold the ONNX file of a TensorRT bundle against the operators of the release's parser. Rules only.

TensorRT has nothing to fall back to: one operator that its parser does not take, and no engine is built. On which of
the device's units a layer runs is TensorRT's choice on the device; edgevit builds for the GPU and asks for no DLA.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgevit.errors import BundleError, missing, reason
from edgevit.formats import STRONGLY_TYPED_SINCE

from ..tensorrt_ops import ParserTable, first_release_with, parser_table
from ..tensorrt_rules import restrictions
from .onnx_file import Node, read_graph
from .rows import Op, Subject, View

_RELEASE = re.compile(r"\d+(?:\.\d+)*")


def look(subject: Subject) -> tuple[View, ...]:
    """Look each operator up."""
    release = _release(subject)
    table = parser_table(release)
    broken = _broken(subject.path)
    ops = tuple(_row(node, table, broken.get(node.outputs, "")) for node in read_graph(subject.path).nodes)
    notes = (
        f"rules of the parser of TensorRT {table.release}, asked for {release}; what a parser takes, a builder can "
        "still decline. Type on the device: edgevit build BUNDLE",
    )
    return (View("TensorRT", ops, notes=notes),)


def _broken(path: Path) -> dict[tuple[str, ...], str]:
    """Return, for the outputs of the nodes that break a restriction, which one."""
    try:
        import onnx
    except ImportError as exc:
        raise missing("onnx", "Looking into a TensorRT bundle", "export") from exc
    try:
        return {tuple(filter(None, node.output)): why for node, why in restrictions(onnx, onnx.load(path))}
    except Exception as exc:
        raise BundleError(f"{path.name} is not a readable ONNX file ({reason(exc)}). Copy the bundle again.") from exc


def _release(subject: Subject) -> str:
    """Return the TensorRT that the bundle is for: the device's, else what its exporter wrote down."""
    if subject.device is not None and subject.device.minimum.tensorrt:
        return subject.device.minimum.tensorrt
    told = _RELEASE.match(str(subject.notes.get("tensorrt", "")))
    return told[0] if told else STRONGLY_TYPED_SINCE


def _row(node: Node, table: ParserTable, broken: str) -> Op:
    if table.missing([node.kind]):
        since = first_release_with(node.kind)
        why = f"its parser takes {node.kind} from {since} on" if since else f"no parser takes {node.kind}"
        return Op(node.kind, "nowhere", "rule", why, True, node.name)
    if broken:
        return Op(node.kind, "nowhere", "rule", broken, True, node.name)
    return Op(node.kind, "TensorRT, GPU", "rule", name=node.name)
