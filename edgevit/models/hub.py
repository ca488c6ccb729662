"""Fetch timm's published weights from the hub.

huggingface_hub knows where a file is, who may have it, what its SHA-256 is, and what is in its own cache; the bytes
themselves come through ``download``, which goes on after a cut across runs and checks the hash (huggingface_hub 2 does
neither). ``HF_ENDPOINT``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` are honoured. What was fetched once needs no network.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.bundle import sha256_of
from edgevit.errors import DownloadError, missing

from .download import Progress, check_url, download

_FILES = ("model.safetensors", "pytorch_model.bin")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME_HASH = re.compile(r"-([0-9a-f]{8,64})\.")  # the custom of torch.hub: the hash's beginning in the file's name


@dataclass(frozen=True)
class HubFile:
    """Say where published weights are: a repository on the hub, or a plain address."""

    repo: str = ""
    revision: str = "main"
    files: tuple[str, ...] = _FILES
    url: str = ""

    @property
    def label(self) -> str:
        """Return the spelling for people."""
        return self.repo or self.url


@dataclass(frozen=True)
class HubWeights:
    """Hold what came from the hub, or was there already."""

    path: Path
    sha256: str
    url: str
    commit: str = ""


def hub_file(card: Mapping[str, Any]) -> HubFile | None:
    """Read from timm's card (``pretrained_cfg``) where the weights are; None if none were published."""
    repo, _, revision = (card.get("hf_hub_id") or "").partition("@")
    if repo and not repo.endswith("/"):
        named = card.get("hf_hub_filename")
        return HubFile(repo, revision or "main", (named,) if named else _FILES)
    url = card.get("url") or ""
    return HubFile(url=url) if url else None


def fetch_from_hub(
    file: HubFile, *, target_dir: Path, progress: Progress | None = None, timeout_s: float = 15.0
) -> HubWeights:
    """Return the local copy of published weights, fetched if need be."""
    if file.url:
        named = _NAME_HASH.search(file.url.rpartition("/")[2])
        path = download(
            file.url, sha256=named[1] if named else None, target_dir=target_dir, progress=progress, timeout_s=timeout_s
        )
        return HubWeights(path, sha256_of(path), file.url)
    try:
        import huggingface_hub
    except ImportError as exc:
        raise missing("huggingface_hub", "Fetching timm's weights", "models") from exc
    if _truthy(os.environ.get("HF_HUB_OFFLINE")) or huggingface_hub.constants.is_offline_mode():
        return _known(file, target_dir, "HF_HUB_OFFLINE is set")
    return _online(file, target_dir, progress, timeout_s)


def _online(file: HubFile, target_dir: Path, progress: Progress | None, timeout_s: float) -> HubWeights:
    import huggingface_hub as hub

    endpoint = os.environ.get("HF_ENDPOINT") or None
    plain_http = (endpoint or "").startswith("http://")
    for filename in file.files:
        url = hub.hf_hub_url(file.repo, filename, revision=file.revision, endpoint=endpoint)
        check_url(url, plain_http=plain_http)
        try:
            facts = hub.get_hf_file_metadata(url, timeout=timeout_s, endpoint=endpoint)
        except hub.errors.RemoteEntryNotFoundError:
            continue
        except Exception as exc:  # the hub's door: its own errors, its HTTP client's, the system's
            return _instead(file, target_dir, exc)
        etag = facts.etag or ""
        promised = etag if _SHA256.fullmatch(etag) else None
        path = _in_hub_cache(file, filename, facts.commit_hash, promised) or download(
            url,
            sha256=promised,
            target_dir=target_dir,
            name=f"{file.repo.replace('/', '--')}-{filename}",
            headers=hub.utils.build_hf_headers(),
            progress=progress,
            timeout_s=timeout_s,
            plain_http=plain_http,
        )
        if facts.size is not None and path.stat().st_size != facts.size:
            path.unlink(missing_ok=True)
            raise DownloadError(
                f"{url} has not the {facts.size} bytes that the hub promised. It was deleted; try again."
            )
        found = HubWeights(path, promised or sha256_of(path), url, facts.commit_hash or "")
        _remember(file, target_dir, found)
        return found
    raise DownloadError(f"{file.repo} on the hub holds none of {', '.join(file.files)}, so it has no weights to load.")


def _instead(file: HubFile, target_dir: Path, exc: Exception) -> HubWeights:
    """Answer a failed question to the hub: from what is here, or with the reason."""
    status = getattr(getattr(exc, "response", None), "status_code", None)
    if status in (401, 403):
        reason = f"the hub refuses {file.repo} ({status}): no such repository, or HF_TOKEN must be set"
    elif status == 404:
        reason = f"the hub has no {file.repo} at revision {file.revision} (404)"
    elif status is not None:
        reason = f"the hub failed ({status})"
    elif "timeout" in type(exc).__name__.lower():
        reason = "the hub did not answer in time"
    else:
        reason = "the hub cannot be reached"
    try:
        return _known(file, target_dir, reason)
    except DownloadError as nothing_here:
        raise nothing_here from exc


def _known(file: HubFile, target_dir: Path, reason: str) -> HubWeights:
    try:
        note = json.loads(_note(file, target_dir).read_text(encoding="utf-8"))
        path = Path(note["path"])
        if path.is_file() and sha256_of(path) == note["sha256"]:
            return HubWeights(path, note["sha256"], note["url"], note["commit"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    for filename in file.files:
        if path_in_cache := _in_hub_cache(file, filename, file.revision, None):
            return HubWeights(path_in_cache, sha256_of(path_in_cache), f"{file.repo}/{filename}")
    raise DownloadError(f"{reason[0].upper()}{reason[1:]}, and the weights of {file.repo} were not fetched before.")


def _in_hub_cache(file: HubFile, filename: str, revision: str | None, promised: str | None) -> Path | None:
    """Look into huggingface_hub's own cache, which other tools fill."""
    import huggingface_hub

    found = huggingface_hub.try_to_load_from_cache(file.repo, filename, revision=revision)
    if not isinstance(found, str) or (promised and sha256_of(Path(found)) != promised):
        return None
    return Path(found)


def _note(file: HubFile, target_dir: Path) -> Path:
    return target_dir / f"{file.repo.replace('/', '--')}@{file.revision.replace('/', '--')}.json"


def _remember(file: HubFile, target_dir: Path, found: HubWeights) -> None:
    data = {"path": str(found.path.resolve()), "sha256": found.sha256, "url": found.url, "commit": found.commit}
    target_dir.mkdir(parents=True, exist_ok=True)
    fresh = _note(file, target_dir).with_suffix(f".{os.getpid()}.tmp")
    fresh.write_text(json.dumps(data), encoding="utf-8")
    fresh.replace(_note(file, target_dir))


def _truthy(value: str | None) -> bool:
    return (value or "").strip().lower() in ("1", "true", "yes", "on")
