"""Map names to modules, and open a module only when its name is first used.

This is the one registry idea of the project: a dict of name -> "package.module". An unknown name is answered with the
nearest ones. ``door`` is how this room reaches rooms above it: by a string, when called, never by an import.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

from .errors import UnknownNameError

_CLASSIFIERS = "edgevit.models.classifiers"


class Registry(Mapping[str, str]):
    """Hold name -> "package.module" for one kind of thing."""

    def __init__(self, kind: str, modules: Mapping[str, str], *, ask: str) -> None:
        self.kind = kind
        self._modules = dict(modules)
        self._ask = ask

    def __getitem__(self, name: str) -> str:
        return self._modules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def load(self, name: str) -> ModuleType:
        """Import and return the module behind a name."""
        if name not in self._modules:
            raise unknown_name(self.kind, name, self._modules, ask=self._ask)
        return importlib.import_module(self._modules[name])


def unknown_name(kind: str, name: str, known: Iterable[str], *, ask: str) -> UnknownNameError:
    """Build the answer to a name that nobody knows: the nearest ones, and what to type."""
    near = difflib.get_close_matches(name.lower(), sorted(known), n=3, cutoff=0.5)
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    return UnknownNameError(f"There is no {kind} named '{name}'.{guess} Type: {ask}")


def door(target: str) -> Any:
    """Open "package.module:name" on first use. The caller's room stays free of upward imports."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


MODEL_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "shapes": ("shvit_shapes",),
    "mobilevit": ("mobilevit_xxs", "mobilevit_xs", "mobilevit_s"),
    "mobilevitv2": tuple(f"mobilevitv2_{w}" for w in ("050", "075", "100", "125", "150", "175", "200")),
    "efficientvit": tuple(f"efficientvit_m{n}" for n in range(6)),
    "shvit": tuple(f"shvit_s{n}" for n in range(1, 5)),
    "levit": tuple(f"levit_{w}" for w in ("128s", "128", "192", "256", "384")),
    "levit_conv": tuple(f"levit_conv_{w}" for w in ("128s", "128", "192", "256", "384")),
    "efficientformerv2": tuple(f"efficientformerv2_{s}" for s in ("s0", "s1", "s2", "l")),
}
"""The bare names of the classifiers, the smallest of a family first; every other timm classifier is ``timm/<name>``."""

SMALLEST: tuple[str, ...] = tuple(names[0] for family, names in MODEL_FAMILIES.items() if family != "shapes")
"""One of each published family, for what must see every architecture."""

TRACKER_FAMILIES: Mapping[str, tuple[str, ...]] = {"hit": ("hit_nano", "hit_tiny", "hit_small", "hit_base")}

_FAMILIES = {**MODEL_FAMILIES, **TRACKER_FAMILIES}
_OWN_MODULES = {"shapes": "edgevit.models.shapes", "hit": "edgevit.models.hit"}

MODELS = Registry(
    "model",
    {name: _OWN_MODULES.get(family, _CLASSIFIERS) for family, names in _FAMILIES.items() for name in names},
    ask="edgevit list",
)

TASK_OF_FAMILY: Mapping[str, str] = {
    **dict.fromkeys(MODEL_FAMILIES, "classify"),
    **dict.fromkeys(TRACKER_FAMILIES, "track"),
}


def list_models(task: str | None = None) -> tuple[str, ...]:
    """Return the bare model names, all or of one task. Needs no torch."""
    tasks = sorted(set(TASK_OF_FAMILY.values()))
    if task is not None and task not in tasks:
        raise unknown_name("task", task, tasks, ask="edgevit list")
    return tuple(
        name for family, names in _FAMILIES.items() if task in (None, TASK_OF_FAMILY[family]) for name in names
    )


def family_of(name: str) -> str:
    """Return the family of a model name; ``timm`` for every name that is not a bare one."""
    return next((family for family, names in _FAMILIES.items() if name in names), "timm")
