"""Spare ExecuTorch's lowering the work that changes nothing, which is most of it.

Where its time goes (SHViT-S1, the stock recipe: 35 s of one core): each part that XNNPACK takes goes through seventeen
passes, and the whole graph through a dozen more, and each pass runs all of it again, whether it finds what it looks for
or not (executorch_spared.py asks first); the graph is decomposed three times, one of them to no end but that a second
decomposition reaches too; two passes trace attention and resizing anew in twelve variants, to compare; and every node
carries copies of the history of all nodes it was made from. Fewer parts and fewer nodes (executorch_forms.py) are the
larger half of the remedy; this is the other. Nothing here changes the file: tests/exporters/test_executorch.py compares
the bytes.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from torch.export import ExportedProgram
from torch.fx.traceback import NodeSource

from .executorch_casts import configurations, keeping_casts
from .executorch_spared import has_work, if_needed, writes_in_place

_REVERTING = "DimOrderOpsRevertPass"


@contextlib.contextmanager
def lean_lowering() -> Iterator[None]:
    """Lower inside without the passes that have nothing to do, and with one history of nodes that all of them share."""
    from executorch.backends.xnnpack import xnnpack_preprocess
    from executorch.exir.program import _program

    usual = xnnpack_preprocess.XNNPACKPassManager
    decompose = ExportedProgram.run_decompositions
    into, out_of = _program._get_aten_to_edge_passes, _program.edge_to_executorch_passes

    class Lean(usual):  # type: ignore[misc, valid-type]
        passes: list[Any]
        _exported_program: Any

        def transform(self) -> Any:
            for each in self.passes:
                if has_work(each.__name__, self._exported_program.graph):
                    self.passes = [keeping_casts(each) if each.__name__ == _REVERTING else each]
                    self._exported_program = super().transform()
            return self._exported_program

    def lean_into(config: Any) -> tuple[list[Any], list[Any]]:
        before, after = into(config)
        return [if_needed(each) for each in before], after

    def lean_out_of(*args: Any, **kwargs: Any) -> list[Any]:
        return [if_needed(each) for each in out_of(*args, **kwargs)]

    def lean_decompositions(program: ExportedProgram, table: Any = None, *args: Any, **kwargs: Any) -> Any:
        if type(table) is dict and not table and not writes_in_place(program.graph):
            return program  # the full table comes next, and decomposing by it does what this would
        return decompose(program, table, *args, **kwargs)

    with contextlib.ExitStack() as stack:
        for owner, name, lean in (
            (xnnpack_preprocess, "XNNPACKPassManager", Lean),
            (_program, "_get_aten_to_edge_passes", lean_into),
            (_program, "edge_to_executorch_passes", lean_out_of),
            (_program, "contains_any_call_fn_target_op", lambda *_: True),
            (ExportedProgram, "run_decompositions", lean_decompositions),
        ):
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, lean)
        if "__deepcopy__" not in vars(NodeSource):  # it is written once and then only read
            stack.callback(delattr, NodeSource, "__deepcopy__")
            setattr(NodeSource, "__deepcopy__", lambda source, memo: source)  # noqa: B010
        yield


def lean_partitioner() -> Any:
    """Return XNNPACK's partitioner, which decides once for each operator whether it stays whole.

    It stays where XNNPACK takes every one of its kind. The stock one decides node by node, at the price of decomposing
    the graph twice more.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    class Lean(XnnpackPartitioner):  # type: ignore[misc]
        def ops_to_not_decompose(self, program: ExportedProgram) -> tuple[list[Any], None]:
            wanted, fits = super().ops_to_not_decompose(program)
            nodes = defaultdict(list)
            for node in program.graph.nodes:
                nodes[node.target].append(node)
            return [op for op in wanted if op in nodes and all(fits(node) for node in nodes[op])], None

    return Lean(configs=configurations())
