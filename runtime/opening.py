"""Open a bundle with its engines, as the session that its task asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, overload

from edgevit.bundle import Bundle, open_bundle
from edgevit.errors import BundleError, UsageError
from edgevit.formats import find_format
from edgevit.registry import MODELS, door, unknown_name

from .engines import Engine, EngineOptions, check_engine, load_engine
from .session import Session
from .tasks import TASKS, check_operations
from .tracker import TrackSession

Place = Bundle | str | Path

_SUCH_AS = {"classify": "shvit_shapes", "track": "hit_nano"}
_VERBS = {"classify": "predict", "track": "track"}


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
    if task is not None and task not in TASKS:
        raise unknown_name("task", task, TASKS, ask="edgevit list")
    opened = bundle_or_path if isinstance(bundle_or_path, Bundle) else open_bundle(_place_of(bundle_or_path))
    manifest = opened.manifest
    known = TASKS.load(manifest.task)
    if task is not None and task != manifest.task:
        raise UsageError(
            f"{opened.path} is made to {manifest.task}, and a bundle made to {task} is needed here. Name one, such as "
            f"{_SUCH_AS[task]}; this one is for edgevit {_VERBS[manifest.task]} and edgevit run."
        )
    check_operations(known.OPERATIONS, manifest)
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
    if not isinstance(place, str) or (place and Path(place).exists()):
        return place
    if not place:
        raise BundleError("The bundle's path is empty. Type: edgevit.load('shvit_shapes'), or a bundle's folder")
    shipped = door("edgevit.weights:shipped")()
    if place in shipped:
        return door("edgevit.weights:bundle_path")(place) or place
    if not (set(place) & set("/\\.") or place in MODELS):  # no path, and no model either: a mistyped name
        raise BundleError(str(unknown_name("bundle", place, shipped, ask="edgevit export MODEL --format onnx")))
    return place
