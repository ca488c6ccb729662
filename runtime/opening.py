"""Open a bundle with its engines, as the session that its task asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, overload

from edgevit.bundle import Bundle, open_bundle
from edgevit.errors import UsageError
from edgevit.formats import find_format
from edgevit.registry import door

from .engines import Engine, EngineOptions, check_engine, load_engine
from .session import Session
from .tasks import TASKS, check_operations
from .tracker import TrackSession

Place = Bundle | str | Path


@overload
def load(
    bundle_or_path: Place,
    *,
    task: Literal["classify"],
    engine: str | None = None,
    threads: int | None = None,
    precision: str | None = None,
) -> Session: ...


@overload
def load(
    bundle_or_path: Place,
    *,
    task: Literal["track"],
    engine: str | None = None,
    threads: int | None = None,
    precision: str | None = None,
) -> TrackSession: ...


@overload
def load(
    bundle_or_path: Place,
    *,
    task: None = None,
    engine: str | None = None,
    threads: int | None = None,
    precision: str | None = None,
) -> Any: ...


def load(
    bundle_or_path: Place,
    *,
    task: str | None = None,
    engine: str | None = None,
    threads: int | None = None,
    precision: str | None = None,
) -> Any:
    """Open a bundle and get ready to run it: a ``Session`` for a classifier, a ``TrackSession`` for a tracker.

    The name of a model that ships with a ready bundle will do, unless something of that name lies in the folder.
    ``task`` says which of them is meant; a bundle of another task is refused, and a type checker knows the class.
    ``engine`` None takes the format's own. ``precision`` is what the engine computes in: exact fp32 unless chosen
    otherwise (OpenVINO: fp32, bf16, fp16).
    """
    opened = bundle_or_path if isinstance(bundle_or_path, Bundle) else open_bundle(_place_of(bundle_or_path))
    manifest = opened.manifest
    if task is not None and task != manifest.task:
        raise UsageError(f"{opened.path} is made to {manifest.task}; a bundle that can {task} was asked for.")
    check_operations(TASKS.load(manifest.task).OPERATIONS, manifest)
    target = find_format(manifest.format)
    name = engine or target.engine
    check_engine(name, target)
    files = frozenset(opened.path / file for file in manifest.files)
    options = EngineOptions(threads, precision or "fp32", manifest.engine["minimum"], files)
    engines: dict[str, Engine] = {}
    try:
        for graph, file in manifest.graphs.items():
            engines[graph] = load_engine(name, opened.graph_file(graph), file, options)
        return TrackSession(opened, engines) if manifest.task == "track" else Session(opened, engines["main"])
    except BaseException:
        for engine_ in engines.values():
            engine_.close()
        raise


def _place_of(place: str | Path) -> str | Path:
    """Return where the bundle lies: what a path says, or what ships with the model of that name."""
    if isinstance(place, str) and not Path(place).exists() and place in door("edgevit.weights:shipped")():
        return door("edgevit.weights:bundle_path")(place) or place
    return place
