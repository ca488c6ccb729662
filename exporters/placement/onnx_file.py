"""Read the nodes of an ONNX file: names, operators and tensors, without the onnx package and without the weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgevit.errors import BundleError

from .protobuf import Message

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_TYPE, _NODE_DOMAIN = 1, 2, 3, 4, 7
_TENSOR_NAME = 8
_SPARSE_VALUES = 1


@dataclass(frozen=True)
class Node:
    """Hold one node. ``kind`` is spelled with its domain where that is not ONNX's own."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """Hold the nodes in their order, and the names of the tensors that stand in the file."""

    nodes: tuple[Node, ...]
    constants: frozenset[str]


def read_graph(path: Path) -> Graph:
    """Read a file's main graph; the branches of an ``If`` and the body of a ``Loop`` count as that one node."""
    try:
        graph = Message(memoryview(path.read_bytes())).message(_MODEL_GRAPH)
        nodes = tuple(_node(message) for message in graph.messages(_GRAPH_NODE))
        tensors = [t.text(_TENSOR_NAME) for t in graph.messages(_GRAPH_INITIALIZER)]
        sparse = [t.message(_SPARSE_VALUES).text(_TENSOR_NAME) for t in graph.messages(_GRAPH_SPARSE)]
    except (ValueError, OSError) as exc:
        raise BundleError(f"{path.name} is not a readable ONNX file ({exc}). Copy the bundle again.") from exc
    return Graph(nodes, frozenset([*tensors, *sparse]))


def _node(message: Message) -> Node:
    domain = message.text(_NODE_DOMAIN)
    kind = message.text(_NODE_TYPE)
    return Node(
        kind if domain in ("", "ai.onnx") else f"{domain}.{kind}",
        message.text(_NODE_NAME),
        tuple(filter(None, message.texts(_NODE_INPUT))),
        tuple(filter(None, message.texts(_NODE_OUTPUT))),
    )
