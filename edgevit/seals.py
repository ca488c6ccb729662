"""Hold a bundle's files against what was sealed: each way in which they can differ has one sentence."""

from __future__ import annotations

from pathlib import Path

from .errors import BundleError, ChecksumError
from .manifest import FileRecord


def check_size(where: Path, name: str, size_bytes: int, record: FileRecord) -> None:
    """Raise unless a file is as long as it was when it was sealed."""
    if size_bytes != record.size_bytes:
        raise ChecksumError(
            f"{where}: '{name}' has {size_bytes} bytes and was sealed with {record.size_bytes}; it was cut or changed. "
            "Copy the bundle again."
        )


def check_digest(where: Path, name: str, digest: str, record: FileRecord) -> None:
    """Raise unless a file's content is the one that was sealed."""
    if digest != record.sha256:
        raise ChecksumError(
            f"{where}: '{name}' is not the file that was sealed (its sha256 differs). Copy the bundle again."
        )


def unlisted_file(where: Path, name: str) -> BundleError:
    """Say that something was added to a bundle."""
    return BundleError(
        f"{where}: it holds '{name}', which the manifest does not list; nothing may be added to a sealed bundle. "
        "Take it out, or copy the bundle again."
    )
