"""Write a traced graph anew in the forms that ExecuTorch's delegates take whole: fewer nodes, fewer gaps between.

XNNPACK knows about sixty operators; one that it does not know cuts the graph in two, and its plain kernel is slow. Most
of those in these nets have an equal that it knows: a split is slices, an attention is matrix products and a softmax, a
mean over tokens is a mean over a picture one pixel high. All is done in one walk over the graph before anything is
lowered, since every later pass of ExecuTorch's runs the whole graph again: what is gone here costs nothing there.
The program as it was is the oracle: tests/exporters/test_executorch.py.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx

Form = Callable[["Walk", fx.Node, tuple[Any, ...]], Any]
Forms = Mapping[Any, Form]
_A = torch.ops.aten
_RESHAPE, _VIEW = _A.reshape.default, _A.view.default
_FROM_NOTHING = (_A.zeros.default, _A.ones.default, _A.full.default, _A.arange.default, _A.arange.start_step)
"""Operators that are constants themselves."""


def suited(program: torch.export.ExportedProgram, forms: Forms) -> fx.GraphModule:
    """Return the program's graph as a module in the forms that the delegates know; the program stays as it is."""
    module = program.module(check_guards=False)
    assert isinstance(module, fx.GraphModule)
    walk = Walk(module, forms)
    new = walk.transform()
    new.graph.eliminate_dead_code()
    new.recompile()
    return new


class Walk(fx.Transformer):
    """Copy a graph node by node: constants are computed, known operators take their other form, the rest stays."""

    def __init__(self, module: fx.GraphModule, forms: Forms) -> None:
        super().__init__(module)
        self._forms = forms
        self._constants: dict[fx.Node, torch.Tensor] = {}
        self._node: fx.Node = next(iter(module.graph.nodes))

    def run_node(self, n: fx.Node) -> Any:
        self._node = n
        if n.op == "call_function" and (n.all_input_nodes or n.target in _FROM_NOTHING):
            known = [self.value(node) for node in n.all_input_nodes]
            if all(value is not None for value in known) and isinstance(n.meta.get("val"), torch.Tensor):
                return self._computed(n)
        return super().run_node(n)

    def placeholder(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        proxy = super().placeholder(target, args, kwargs)
        proxy.node.meta["val"] = self._node.meta["val"]
        return proxy

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if target is operator.getitem and isinstance(args[0], list):
            return args[0][args[1]]
        form = self._forms.get(target)
        made = form(self, self._node, args) if form else NotImplemented
        return super().call_function(target, args, kwargs) if made is NotImplemented else made

    def emit(self, target: Any, *args: Any, **kwargs: Any) -> fx.Proxy:
        """Add one operator to the new graph. A reshape of a reshape is one."""
        if target is _RESHAPE and isinstance(args[0], fx.Proxy) and args[0].node.target in (_RESHAPE, _VIEW):
            before = args[0].node.args[0]
            assert isinstance(before, fx.Node)
            args = (fx.Proxy(before, self.tracer), *args[1:])
        proxy: fx.Proxy = self.tracer.create_proxy("call_function", target, args, kwargs)
        return proxy

    def constant(self, value: torch.Tensor) -> fx.Proxy:
        """Add a tensor to the new graph."""
        name = f"_constant_{len(list(self.module.buffers()))}"
        self.module.register_buffer(name, value.detach().contiguous(), persistent=True)
        proxy: fx.Proxy = self.tracer.create_proxy("get_attr", name, (), {})
        return proxy

    def value(self, node: Any) -> torch.Tensor | None:
        """Return the tensor that a node of the old graph always is, or None where it depends on the input."""
        if isinstance(node, fx.Node) and node.op == "get_attr" and node not in self._constants:
            self._constants[node] = operator.attrgetter(str(node.target))(self.module)
        return self._constants.get(node)

    def _computed(self, n: fx.Node) -> Any:
        def fetch(node: fx.Node) -> torch.Tensor:
            return self._constants[node]

        with torch.no_grad():
            value = n.target(*fx.map_arg(n.args, fetch), **fx.map_arg(n.kwargs, fetch))  # type: ignore[operator]
        self._constants[n] = value
        return self.constant(value)


def shape(node: Any) -> list[int]:
    """Return the shape of a node of the old graph."""
    return list(node.meta["val"].shape)


def argument(node: fx.Node, place: int, name: str, default: Any) -> Any:
    """Return an argument of an old node by its place or its name."""
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)
