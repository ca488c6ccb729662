"""Find device files: those that ship with the package, by name, and a user's own, by path."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.errors import InputError, UnknownNameError

from .device import Device
from .reader import read_device
from .this_machine import fill_host

if TYPE_CHECKING:
    from importlib.abc import Traversable

_SUFFIX = ".toml"


def load_device(name: str) -> Device:
    """Return the device of a name, spelled freely ("Pixel 8", "pixel_8"), or of the path of a user's own TOML file."""
    if name.endswith(_SUFFIX):
        return load_file(name)
    files = _shipped()
    by_spelling = {_spelling(slug): slug for slug in files}
    slug = by_spelling.get(_spelling(name))
    if slug is None:
        near = difflib.get_close_matches(_spelling(name), by_spelling, n=3, cutoff=0.5)
        guess = f" Did you mean {' or '.join(by_spelling[spelling] for spelling in near)}?" if near else ""
        raise UnknownNameError(f"There is no device named '{name}'.{guess} Type: edgevit devices")
    return _filled(read_device(files[slug].read_bytes(), slug, f"devices/{slug}{_SUFFIX}"))


def load_file(path: str | os.PathLike[str]) -> Device:
    """Return the device that a TOML file of the user describes."""
    file = Path(path)
    try:
        content = file.read_bytes()
    except OSError as exc:
        raise InputError(
            f"The device file '{file}' cannot be read: {exc.strerror or exc}. "
            f"Expected a TOML file. Type: edgevit devices to list the devices that are known by name"
        ) from exc
    shipped = _shipped().get(file.stem)
    if shipped is not None and shipped.read_bytes() != content:
        raise InputError(
            f"The device file '{file}' has the name of a device that ships with edgevit, and other facts; bundles keep "
            f"the name alone. Expected a name of its own. Type: mv {file} {file.with_name('my-' + file.name)}"
        )
    return _filled(read_device(content, file.stem, str(file)))


def list_devices() -> tuple[Device, ...]:
    """Return every device that ships with the package, in the order of the slugs; ``host`` is this machine."""
    return tuple(load_device(slug) for slug in sorted(_shipped()))


def _filled(device: Device) -> Device:
    return fill_host(device) if device.kind == "host" else device


def _shipped() -> dict[str, Traversable]:
    # importlib.resources and not __file__: the package may be imported from a zip. Here, for it is slow to import.
    from importlib import resources

    entries = resources.files(__package__ or "edgevit.devices").iterdir()
    return {entry.name.removesuffix(_SUFFIX): entry for entry in entries if entry.name.endswith(_SUFFIX)}


def _spelling(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
