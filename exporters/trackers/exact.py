"""Name the operators of a tracker that stay in float when the rest becomes int8: the corners' maps, and what they make.

A corner's map is a softmax over hundreds of cells, so most of its numbers are below one 255th of the largest, and the
mean place that is read from it lives on them. The part is small: two maps, their means, and the score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MAPS = ("top_left", "bottom_right")
ONNX = {
    "op_types_to_quantize": ["Conv", "Gemm", "MatMul"],
    "extra_options": {"MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": ["Conv", "Gemm", "MatMul"]},
}
"""How ONNX Runtime quantises a tracker: what has weights alone, and its inputs alone.

The lengths that features are divided by do not fit into 8 bits: with everything quantised the features of a random
hit_nano are off by 0.28 and the template's graph alone costs 0.23 of the boxes' overlap; so by 0.058 and 0.075.
"""
_SOFTMAX = "Softmax"


def of_onnx(graph: Any) -> list[str]:
    """Return the names of such nodes in an ONNX graph; none where it has no maps."""
    makers = {name: number for number, node in enumerate(graph.node) for name in node.output}
    sources = {n: [makers[i] for i in node.input if i in makers] for n, node in enumerate(graph.node)}
    kinds = {n: str(node.op_type) for n, node in enumerate(graph.node)}
    found = behind_maps(sources, kinds, [makers[name] for name in MAPS if name in makers])
    return [graph.node[n].name for n in sorted(found)]


def of_openvino(model: Any) -> list[str]:
    """Return the same of an OpenVINO model."""
    operations = {op.get_friendly_name(): op for op in model.get_ordered_ops()}
    sources = {
        name: [value.get_source_output().get_node().get_friendly_name() for value in op.inputs()]
        for name, op in operations.items()
    }
    kinds = {name: str(op.get_type_name()) for name, op in operations.items()}
    results = [op for op in operations.values() if op.get_type_name() == "Result"]
    ends = [op.get_friendly_name() for op in results if {*op.input(0).get_tensor().get_names()} & {*MAPS}]
    taken = behind_maps(sources, kinds, ends)
    return [name for name in operations if name in taken and kinds[name] not in ("Result", "Constant", "Parameter")]


def behind_maps(sources: Mapping[Any, Sequence[Any]], kinds: Mapping[Any, str], ends: Iterable[Any]) -> set[Any]:
    """Return the softmaxes that the ends come from most nearly, and all that is computed of them.

    ``sources`` are the nodes that each node takes from, in an order in which no node comes before its sources.
    """
    found, waiting, seen = set(), list(ends), set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if kinds[node] == _SOFTMAX:
            found.add(node)
        else:
            waiting.extend(sources[node])
    for node, taken in sources.items():
        if found.intersection(taken):
            found.add(node)
    return found
