"""List what a .pte file gives to its delegates and what is left to ExecuTorch's plain kernels.

Executed: the split is fixed in the file, the runtime has no choice. An operator without a delegate falls back, but for
views, which compute nothing, and for casts before the first delegate or after the last, where the app's type ends. A
.pte counts its operators and names none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from edgevit.runtime.engines.executorch_file import PLAIN, Contents, read_contents

from .rows import Op, Subject, View

_VIEWS = ("executorch_prim::", "aten::view", "aten::_reshape_alias", "aten::alias", "getitem")
"""Beginnings of operators that only look at a tensor in another way."""
_CAST = "dim_order_ops::_to_dim_order_copy"
_BACKENDS = {"XnnpackBackend": "XNNPACK", "CoreMLBackend": "Core ML", "VulkanBackend": "Vulkan"}


def look(subject: Subject) -> tuple[View, ...]:
    """Read the file; nothing is run."""
    contents = read_contents(subject.path)
    calls = Counter(_BACKENDS.get(name, name) for name in contents.delegates)
    ops = tuple(
        row for (kind, where), count in contents.operators.items() for row in _rows(contents, kind, where, count)
    )
    told = ", ".join(f"{count} call{'' if count == 1 else 's'} of {name}" for name, count in calls.items())
    return (View(" or ".join(calls) or "a delegate", ops, notes=(f"as the file has it: {told or 'no delegate'}",)),)


def _rows(contents: Contents, kind: str, where: str, count: int) -> Iterator[Op]:
    border = contents.borders.get(kind, 0) if where == PLAIN and kind.startswith(_CAST) else 0
    if border:
        yield Op(kind, where, "executed", "the border between the app's type and the delegate's", count=border)
    if count > border:
        yield _row(kind, where, count - border)


def _row(kind: str, where: str, count: int) -> Op:
    if where != PLAIN:
        return Op(kind, _BACKENDS.get(where, where), "executed", count=count)
    if kind.startswith(_VIEWS):
        return Op(kind, where, "executed", "it computes nothing", count=count)
    return Op(kind, where, "executed", "no delegate took it when the file was made", True, count=count)
