"""Tell the versions of the tools that made a file."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from edgevit import __version__


def versions(*packages: str) -> dict[str, str]:
    """Return package -> version, edgevit's own first; packages that are not there are left out."""
    found = {"edgevit": __version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
