"""Choose weights by a word, a file or an address, bring them here, and read them without unpickling anything.

The choices: ``shipped`` (with edgevit), ``hub`` (timm's), ``random`` (seeded, live, UNTRAINED), a file, or
``https://...#sha256=HASH``. Without a choice the shipped ones are taken if there are any, else the hub's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from edgevit.bundle import sha256_of
from edgevit.errors import DownloadError, WeightsError, reason

from .download import Progress, check_url, download, weights_dir
from .hub import HubFile, fetch_from_hub
from .unread import unread

Kind = Literal["default", "shipped", "hub", "random", "file", "url"]

CHOICES = "shipped, hub, random (UNTRAINED), a local file, or https://...#sha256=HASH"
_WORDS: tuple[Kind, ...] = ("shipped", "hub", "random")
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_HASH = re.compile(r"sha256=([0-9a-fA-F]{64})")


@dataclass(frozen=True)
class WeightChoice:
    """Hold a choice of weights; ``location`` is the file or the address."""

    kind: Kind
    location: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class LocalWeights:
    """Hold weights that are on this machine. ``path`` is None for random ones only; ``source`` goes into manifests."""

    kind: Kind
    path: Path | None
    sha256: str
    source: str
    url: str = ""


def parse(weights: str | Path | None) -> WeightChoice:
    """Read what the user typed. Files are looked for later, addresses must carry their hash now."""
    if weights is None:
        return WeightChoice("default")
    text = str(weights)
    word = next((w for w in _WORDS if w == text), None)
    if word is not None:
        return WeightChoice(word)
    if not _ADDRESS.match(text):
        return WeightChoice("file", text)
    address, _, fragment = text.partition("#")
    try:
        check_url(address)
    except DownloadError as exc:
        raise WeightsError(str(exc)) from exc
    stated = _HASH.fullmatch(fragment)
    if stated is None:
        raise WeightsError(
            f"The address {address} does not say which file is meant. "
            f"Add its hash: {address}#sha256=HASH (64 digits, as sha256sum FILE prints them)."
        )
    return WeightChoice("url", address, stated[1].lower())


def choose(weights: str | Path | None, *, name: str) -> WeightChoice:
    """Read what the user typed, and settle the default: shipped weights if there are any, else the hub's."""
    choice = parse(weights)
    if choice.kind != "default":
        return choice
    return WeightChoice("shipped" if name in _shipped() else "hub")


def fetch(
    choice: WeightChoice,
    *,
    name: str,
    hub: HubFile | None = None,
    target_dir: Path | None = None,
    progress: Progress | None = None,
    timeout_s: float = 15.0,
) -> LocalWeights:
    """Bring the chosen weights to this machine. ``hub`` says where the published ones are (``hub.hub_file(card)``)."""
    if choice.kind == "default":
        choice = choose(None, name=name)
    folder = target_dir or weights_dir()
    if choice.kind == "random":
        return LocalWeights("random", None, "", "random")
    if choice.kind == "shipped":
        return _from_package(name)
    if choice.kind == "file":
        return _from_disk(Path(choice.location).expanduser())
    with _bar(name, progress) as report:
        if choice.kind == "url":
            path = download(
                choice.location, sha256=choice.sha256, target_dir=folder, progress=report, timeout_s=timeout_s
            )
            return LocalWeights("url", path, choice.sha256, path.name.partition("-")[2], choice.location)
        return _from_hub(name, hub, folder, report, timeout_s)


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint as it was saved, wrapper dicts and all: safetensors, or torch's format with weights only."""
    head = _head(path)
    if path.suffix == ".npz":
        raise WeightsError(
            f"{path} is a NumPy archive. Expected a safetensors or a torch checkpoint (.pth, .pt, .bin)."
        )
    if head[8:9] == b"{" or path.suffix == ".safetensors":
        return _read_safetensors(path)
    return _read_torch(path)


def _from_package(name: str) -> LocalWeights:
    from edgevit import weights as package

    if name not in package.shipped():
        known = ", ".join(sorted(package.shipped()))
        only = f" (only for {known})" if known else ""
        raise WeightsError(f"No weights are shipped for {name}{only}. Choose --weights from: {CHOICES}.")
    path = package.weights_path(name)
    return LocalWeights("shipped", path, sha256_of(path), f"shipped {path.name}")


def _shipped() -> Mapping[str, Any]:
    from edgevit import weights as package

    return package.shipped()


def _from_disk(path: Path) -> LocalWeights:
    if not path.is_file():
        raise WeightsError(f"There is no weights file '{path}'. Choose --weights from: {CHOICES}.")
    return LocalWeights("file", path, sha256_of(path), path.name)


def _from_hub(name: str, hub: HubFile | None, folder: Path, report: Progress, timeout_s: float) -> LocalWeights:
    if hub is None:
        raise WeightsError(f"No weights of {name} were published on the hub. Choose --weights from: {CHOICES}.")
    try:
        found = fetch_from_hub(hub, target_dir=folder, progress=report, timeout_s=timeout_s)
    except DownloadError as exc:
        why = str(exc).rstrip(".")
        why = why.replace("The ", "the ", 1) if why.startswith("The ") else why
        raise DownloadError(
            f"The weights of {name} cannot be fetched ({why}); without the network, type --weights FILE for weights "
            "that you have, or --weights random for UNTRAINED ones."
        ) from exc
    at = f"@{found.commit[:12]}" if found.commit else ""
    return LocalWeights("hub", found.path, found.sha256, f"hub {hub.label}{at}", found.url)


@contextlib.contextmanager
def _bar(name: str, progress: Progress | None) -> Iterator[Progress]:
    """Report to the caller, else draw a bar where a person is looking."""
    if progress is not None:
        yield progress
        return
    try:
        from rich import progress as rich_progress
        from rich.console import Console
    except ImportError:
        yield lambda done, total: None
        return
    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(),
        rich_progress.TransferSpeedColumn(),
    )
    console = Console(stderr=True)
    with rich_progress.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"weights of {name}", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as exc:
        raise WeightsError(f"{path} cannot be read: {exc.strerror or exc}.") from exc
    if not head:
        raise WeightsError(f"{path} is empty. Fetch it again.")
    if head.lstrip()[:1] == b"<":
        raise WeightsError(f"{path} is a web page, not a checkpoint. Fetch the file itself, not the page around it.")
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a Git LFS pointer, not the checkpoint. Type: git lfs pull")
    return head


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(str(path)))
    except (SafetensorError, OSError, ValueError, json.JSONDecodeError) as exc:
        raise WeightsError(f"{path} is damaged, or not a safetensors file ({exc}). Fetch it again.") from exc


def _read_torch(path: Path) -> dict[str, Any]:
    # Trainers put their options beside the weights; these plain-data types hold values and run nothing.
    try:
        allowed = [argparse.Namespace, *_numpy_scalars(), *unread()]
        with warnings.catch_warnings(), torch.serialization.safe_globals(allowed):
            warnings.simplefilter("ignore", UserWarning)  # torch's remarks on odd pickles; the sentence below is ours
            data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as exc:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(exc))
        what = f"the class {wanted[1]}" if wanted else "more than tensors"
        raise WeightsError(
            f"{path} holds {what}, or is damaged. Nothing is ever unpickled here: save the state dict alone, "
            "torch.save(model.state_dict(), FILE), or a safetensors file."
        ) from exc
    except Exception as exc:  # torch answers a broken archive with many kinds
        raise WeightsError(f"{path} is damaged, or not a checkpoint ({reason(exc)}). Fetch it again.") from exc
    if not isinstance(data, Mapping):
        raise WeightsError(f"{path} holds a {type(data).__name__}; expected a state dict (names and tensors).")
    return dict(data)


def _numpy_scalars() -> list[Any]:
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    return [scalar, np.dtype, *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?"))]
