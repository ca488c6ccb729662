"""Export the bundles that the boards prove: one model of each family, by the command line, on this machine.

A bundle is kept under a key of all that makes it: the sources of the rooms that export, and the pinned versions. A
change there makes it anew; a change of the runtime is tried on the bundles of yesterday, as users do.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from edgevit.scenes.shapes import render

from .root import CONSTRAINTS, HOUSE, WORK

PICTURES = 2
"""Of the proof, and so of the reference that travels with the bundle: each costs some seconds on an emulated board."""
_ROOMS = ("edgevit/*.py", "edgevit/models", "edgevit/scenes", "edgevit/weights", "exporters", "kernels")
_DRAWING = threading.Lock()
_SUFFIXES = (".py", ".safetensors", ".toml", ".json")


@dataclass(frozen=True)
class Wanted:
    """Name a bundle. ``weights`` None takes those that the model ships with."""

    model: str
    format: str
    precision: str = "fp32"
    weights: str | None = "random"

    @property
    def name(self) -> str:
        return f"{self.model}-{self.format}-{self.precision}"

    def command(self, out: Path) -> list[str]:
        """Return the command line. Trained weights are proven on the pictures that they have by default."""
        words = ["export", self.model, "--format", self.format, "--precision", self.precision, "--out", str(out)]
        if self.weights:
            with _DRAWING:  # the first of several exports draws them for all
                words += ["--weights", self.weights, "--images", str(_pictures())]
        return words


_FAMILIES = ("efficientformerv2_s0", "mobilevit_xxs", "mobilevitv2_050", "levit_128s", "efficientvit_m0", "shvit_s1")
_SHIPPED = tuple(Wanted("shvit_shapes", f, p, None) for f in ("litert", "onnx") for p in ("fp32", "int8"))
WANTED = (
    *(Wanted(model, "litert") for model in _FAMILIES),
    *(Wanted(model, "onnx") for model in _FAMILIES),
    *_SHIPPED,
)
"""The slowest first, so that two cores end at about the same time."""


class ExportError(Exception):
    """A bundle could not be made; the text is what the command line said."""


def exported(wanted: Wanted) -> Path:
    """Return the bundle, made now if there is none of its key. Older ones of its name go."""
    folder = WORK / "bundles"
    place = folder / f"{wanted.name}-{_key()}"
    if (place / "manifest.json").is_file():
        return place
    for old in folder.glob(f"{wanted.name}-*"):
        shutil.rmtree(old)
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "edgevit", *wanted.command(place)]
    done = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True)
    if done.returncode:
        raise ExportError((done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1])
    return place


@lru_cache(maxsize=1)
def _key() -> str:
    digest = hashlib.sha256(CONSTRAINTS.read_bytes() + bytes([PICTURES]))
    for room in _ROOMS:
        for path in sorted(HOUSE.glob(room if "*" in room else f"{room}/**/*")):
            if path.is_file() and path.suffix in _SUFFIXES:
                digest.update(f"{path.relative_to(HOUSE)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=1)
def _pictures() -> Path:
    folder = WORK / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for index in range(PICTURES):
        Image.fromarray(render(index)[0]).save(folder / f"{index}.png")
    return folder
