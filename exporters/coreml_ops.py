"""Teach coremltools' torch frontend what it does not know, and take it back: other users of it see nothing.

* ``alias``: torch.export leaves it where a view of everything was meant. Without it no transformer of timm converts.
* casts of one-element arrays: coremltools calls ``int(array)``, which numpy 2 refuses for anything but a scalar.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np


@contextlib.contextmanager
def more_operators() -> Iterator[None]:
    """Let conversions inside know the missing operators; what coremltools knows by then is left to it."""
    from coremltools.converters.mil.frontend.torch import ops
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY as REGISTRY

    known, cast = dict(REGISTRY.name_to_func_mapping), ops._cast
    for name in ("alias", "lift_fresh_copy"):
        REGISTRY.name_to_func_mapping.setdefault(name, _same)
    ops._cast = _tolerant(cast)
    try:
        yield
    finally:
        ops._cast = cast
        REGISTRY.name_to_func_mapping.clear()
        REGISTRY.name_to_func_mapping.update(known)


def _same(context: Any, node: Any) -> None:
    from coremltools.converters.mil.frontend.torch.ops import _get_inputs

    context.add(_get_inputs(context, node)[0], torch_name=node.name)


def _tolerant(cast: Any) -> Any:
    """Return the cast that unpacks an array of one constant by itself and leaves the rest to coremltools' own."""

    def cast_constant(context: Any, node: Any, dtype: type, dtype_name: str) -> None:
        from coremltools.converters.mil import Builder
        from coremltools.converters.mil.frontend.torch.ops import _get_inputs

        value = _get_inputs(context, node, expected=1)[0].val
        if not isinstance(value, np.ndarray) or value.ndim == 0 or value.size != 1:
            cast(context, node, dtype, dtype_name)
        else:
            context.add(Builder.const(val=dtype(value.item()), name=node.name), node.name)

    return cast_constant
