"""Make a module equal to the given one that its target runs well: copy, fuse, then swap modules by type.

Principle: a converter sees what forward() does, not what it means; the same arithmetic in another order costs less, or
is accepted at all. Swapping goes by exact type through ``table.rules_for(target)``: timm's classes stay as they are,
and checkpoints keep loading, because the swap happens after that. A builder that returns None leaves its module alone.
The module as it was is the oracle: tests/kernels/test_rewrites.py.
"""

from __future__ import annotations

from torch import nn

from .fuse import fuse
from .table import Rules, rules_for


def rewrite(module: nn.Module, target: str) -> nn.Module:
    """Return an equal module for a target (the name of a format); the given one stays as it is."""
    rules = rules_for(target)  # before the copy: a wrong name should cost nothing
    made = swap(fuse(module), rules)
    made.eval()
    return made


def swap(module: nn.Module, rules: Rules) -> nn.Module:
    """Swap a module and everything in it by the rules, in place where a part stays; return what stands there now.

    The outer module goes first, so that parts which a new module took over from the old one are swapped too.
    A part that stands in two places stays one part.
    """
    return _swap(module, rules, {})


def _swap(module: nn.Module, rules: Rules, seen: dict[nn.Module, nn.Module]) -> nn.Module:
    if module in seen:
        return seen[module]
    build = rules.get(type(module))
    made = build(module) if build is not None else None
    new = module if made is None else made
    seen[module] = seen[new] = new
    for name, part in list(new._modules.items()):  # named_children() hides a part that stands here twice
        if part is None:
            continue
        swapped = _swap(part, rules, seen)
        if swapped is not part:
            setattr(new, name, swapped)
    return new
