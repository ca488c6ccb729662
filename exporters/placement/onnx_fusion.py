"""Match the nodes of an ONNX file with the nodes of the graph that ONNX Runtime made of it.

The optimiser keeps no record, but it keeps names: a fused node has the last output of what went into it, or the name of
one of its nodes with an ending (``/QuickGeluFusion/``, ``_nchwc``, ``_token_7``). What has left neither runs where its
one reader does, or what it reads, if that was changed; else it is said to be gone, not guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .onnx_file import Graph, Node

_TOKEN = re.compile(r"_token_\d+$")
_BLOCKED = "_nchwc"
_CARRIERS_WORDS = """
ReorderInput ReorderOutput Reshape Transpose Squeeze Unsqueeze Cast QuantizeLinear DequantizeLinear
"""
_CARRIERS = frozenset(_CARRIERS_WORDS.split())
"""Operators that the optimiser puts around others: a result that comes out of one was computed before it."""

_QUANTISE = "QuantizeLinear"
Homes = dict[tuple[str, ...], Node]


def homes_of(file: Graph, made: Graph) -> Homes:
    """Return, for the outputs of a node of the file, the node of the optimised graph in which it runs."""
    index = _Index(made)
    makers = {tensor: node for node in file.nodes for tensor in node.outputs}
    readers: dict[str, list[Node]] = {}
    for node in file.nodes:
        for tensor in node.inputs:
            readers.setdefault(tensor, []).append(node)
    homes: Homes = {}
    for node in reversed(file.nodes):  # readers come before what they read
        home = index.find(node) or _with_reader(node, readers, homes)
        if home is not None:
            homes[node.outputs] = home
    for node in file.nodes:  # what quantises or adds to a result went into the node that computes it
        if node.kind == _QUANTISE and not index.stands(node):
            homes.pop(node.outputs, None)
        if node.outputs not in homes and (node.kind == _QUANTISE or node.kind not in _CARRIERS):
            before = [m for t in node.inputs if (m := makers.get(t)) and m.outputs in homes]
            fused = [homes[m.outputs] for m in before if homes[m.outputs].kind != m.kind]
            homes.update({node.outputs: fused[-1]} if fused else {})
    return homes


def constant_nodes(file: Graph) -> frozenset[tuple[str, ...]]:
    """Return the outputs of the nodes that depend on constants alone."""
    constant, found = set(file.constants), []
    for node in file.nodes:
        if all(tensor in constant for tensor in node.inputs):
            constant.update(node.outputs)
            found.append(node.outputs)
    return frozenset(found)


def _with_reader(node: Node, readers: dict[str, list[Node]], homes: Homes) -> Node | None:
    """Return the home of a node's only reader, where that is a fused one."""
    after = [reader for tensor in node.outputs for reader in readers.get(tensor, [])]
    if not after or any(reader.outputs not in homes for reader in after):
        return None
    found = {id(homes[r.outputs]): homes[r.outputs] for r in after if homes[r.outputs].kind != r.kind}
    return next(iter(found.values())) if len(found) == 1 else None


class _Index:
    """Find nodes of the optimised graph by what they kept."""

    def __init__(self, made: Graph) -> None:
        self._by_output = {tensor: node for node in made.nodes for tensor in node.outputs}
        self._by_name = {name: node for node in reversed(made.nodes) for name in _spellings(node.name)}
        self._by_name |= {node.name: node for node in made.nodes if node.name}

    def stands(self, node: Node) -> bool:
        """Tell whether a node is there as it was."""
        found = self._by_name.get(node.name)
        return found is not None and found.kind == node.kind

    def find(self, node: Node) -> Node | None:
        """Return the node that computes what this one did."""
        named = self._by_name.get(node.name)
        if named is not None and (named.kind == node.kind or _plain(named.kind) not in _CARRIERS):
            return named
        for name in (*(f"{tensor}{_BLOCKED}" for tensor in node.outputs), *node.outputs, node.name):
            found = self._by_name.get(name) if name.endswith(_BLOCKED) else self._by_output.get(name)
            if found is not None:
                return self._computed(node, found)
        return None

    def _computed(self, node: Node, found: Node) -> Node | None:
        """Step back from what only carries a result to what computes it."""
        seen: set[int] = set()
        while found.kind != node.kind and _plain(found.kind) in _CARRIERS and id(found) not in seen:
            seen.add(id(found))
            before = self._by_output.get(found.inputs[0]) if found.inputs else None
            if before is None:
                return None
            found = before
        return found


def _spellings(name: str) -> Iterator[str]:
    """Yield what a node may have been called before the optimiser gave it an ending."""
    yield _TOKEN.sub("", name)
    yield name.partition("/")[0]


def _plain(kind: str) -> str:
    return kind.rpartition(".")[2]
