"""Download one file so that it is whole and the right one, or not there at all.

Bytes go to ``NAME.part``; a cut download goes on from there (HTTP Range, guarded by the server's ETag). The file takes
its name only after its length and its SHA-256 were checked. A lock keeps two processes apart. https only; plain http
is taken from this machine itself, and from a host that the caller vouches for.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import re
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgevit.archive import cache_dir
from edgevit.bundle import sha256_of
from edgevit.errors import DownloadError

Progress = Callable[[int, "int | None"], None]
"""Called with the bytes that are here and the bytes in all, if the server said how many."""

_CHUNK = 1 << 18
_PAUSES_S = (0.2, 1.0, 3.0)
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO})
_HASH = re.compile(r"[0-9a-f]{8,64}")


def weights_dir() -> Path:
    """Return the folder of downloaded weights."""
    return cache_dir() / "weights"


def download(
    url: str,
    *,
    sha256: str | None,
    target_dir: Path,
    name: str | None = None,
    headers: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    timeout_s: float = 30.0,
    retries: int = 3,
    plain_http: bool = False,
) -> Path:
    """Return the local file behind ``url``; it is fetched only if it is not in ``target_dir`` already.

    ``sha256`` is the whole hash or its beginning (eight digits at least). ``timeout_s`` is the longest silence of the
    server; ``retries`` counts the attempts that bring nothing new.
    """
    check_url(url, plain_http=plain_http)
    if sha256 is not None and not _HASH.fullmatch(sha256):
        raise DownloadError(f"'{sha256}' is not a SHA-256. Expected 64 hexadecimal digits, as sha256sum prints them.")
    key = (sha256 or hashlib.sha256(url.encode()).hexdigest())[:16]
    name = name or Path(urllib.parse.urlsplit(url).path).name or "file"
    job = _Job(url, sha256, target_dir / f"{key}-{name}", dict(headers or {}), timeout_s, progress or _silent)
    from filelock import FileLock, Timeout  # comes with torch and huggingface_hub

    try:
        target_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{job.target}.lock", timeout=600):
            if job.target.is_file() and _has_hash(job.target, sha256):
                return job.target
            _fetch(job, retries)
    except Timeout as exc:
        raise DownloadError(f"Another process has held {job.target}.lock for ten minutes. Stop it or wait.") from exc
    except OSError as exc:
        raise DownloadError(f"{url} cannot be saved in {target_dir}: {exc.strerror or exc}.") from exc
    return job.target


def check_url(url: str, *, plain_http: bool = False) -> None:
    """Refuse every address that is not https, or http on this machine."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname and (plain_http or parts.hostname in _LOOPBACK):
        return
    raise DownloadError(f"{url} cannot be fetched: only https addresses are. Type the address with https://.")


@dataclass(frozen=True)
class _Job:
    url: str
    sha256: str | None
    target: Path
    headers: Mapping[str, str]
    timeout_s: float
    progress: Progress

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + ".part")

    @property
    def note(self) -> Path:
        """Beside the part: whose part it is."""
        return self.target.with_name(self.target.name + ".part.json")


class _CutError(Exception):
    """The transfer stopped in a way that may pass."""


def _silent(done: int, total: int | None) -> None:
    pass


def _fetch(job: _Job, retries: int) -> None:
    failures = 0
    while True:
        start = _bytes_here(job)
        try:
            _transfer(job, start)
            if _has_hash(job.part, job.sha256):
                break
            found = sha256_of(job.part)
            _discard(job)
            if not start:
                raise DownloadError(
                    f"{job.url} is not the file that was promised: its SHA-256 is {found}, expected {job.sha256}. "
                    "It was deleted. Check the address and the hash."
                )
            failures += 1  # the old part may have been of another version: once more, from the beginning
        except _CutError as exc:
            came = _bytes_here(job) > start
            failures = 1 if came else failures + 1
            if failures > retries:
                raise DownloadError(
                    f"{exc} Gave up after {retries} retries; the same command goes on from there."
                ) from exc
            time.sleep(_PAUSES_S[min(failures, len(_PAUSES_S)) - 1])
    with job.part.open("rb") as whole:
        os.fsync(whole.fileno())
    job.part.replace(job.target)
    job.note.unlink(missing_ok=True)


def _bytes_here(job: _Job) -> int:
    """Return the length of a part that may be continued; any other part is thrown away."""
    try:
        note = json.loads(job.note.read_text(encoding="utf-8"))
        if note["url"] == job.url and (note["etag"] or job.sha256):
            return job.part.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        pass
    _discard(job)
    return 0


def _discard(job: _Job) -> None:
    job.part.unlink(missing_ok=True)
    job.note.unlink(missing_ok=True)


def _transfer(job: _Job, start: int) -> None:
    headers = dict(job.headers)
    headers["Accept-Encoding"] = "identity"  # a packed answer could not be continued
    if start:
        headers["Range"] = f"bytes={start}-"
        if etag := json.loads(job.note.read_text(encoding="utf-8"))["etag"]:
            headers["If-Range"] = etag
    try:
        with _OPENER.open(urllib.request.Request(job.url, headers=headers), timeout=job.timeout_s) as answer:
            _store(job, answer, start)
    except urllib.error.HTTPError as exc:
        _explain_status(job, exc.code, start)
    except urllib.error.URLError as exc:
        _explain_silence(job, exc.reason)
    except (OSError, http.client.HTTPException) as exc:
        if getattr(exc, "errno", None) in _DISK:
            raise
        _explain_silence(job, exc)


def _store(job: _Job, answer: http.client.HTTPResponse, start: int) -> None:
    continued = answer.status == 206 and (answer.headers.get("Content-Range") or "").startswith(f"bytes {start}-")
    start = start if continued else 0
    length = answer.headers.get("Content-Length")
    total = start + int(length) if length and length.isdigit() else None
    etag = answer.headers.get("ETag") or ""
    job.note.write_text(json.dumps({"url": job.url, "etag": "" if etag.startswith("W/") else etag}), encoding="utf-8")
    done = start
    with job.part.open("r+b" if continued else "wb") as part:
        part.seek(start)
        job.progress(done, total)
        while chunk := answer.read(_CHUNK):
            part.write(chunk)
            done += len(chunk)
            job.progress(done, total)
    if total is not None and done != total:
        raise _CutError(f"{job.url} was cut off after {done} of {total} bytes.")


def _explain_status(job: _Job, status: int, start: int) -> None:
    if status == 416 and start:
        _discard(job)
        raise _CutError(f"{job.url} is shorter than the part that was already here (416).")
    if status in _AGAIN:
        raise _CutError(f"The server of {job.url} failed ({status}).")
    if status in (401, 403):
        raise DownloadError(
            f"The server refuses {job.url} ({status}). It may need a login or a licence to be accepted."
        )
    if status in (404, 410):
        raise DownloadError(f"There is no file at {job.url} ({status}). Check the address.")
    raise DownloadError(f"The server answers {job.url} with status {status}; expected the file.")


def _explain_silence(job: _Job, reason: object) -> None:
    host = urllib.parse.urlsplit(job.url).hostname
    if isinstance(reason, TimeoutError):
        raise _CutError(f"{host} was silent for {job.timeout_s:g} s while {job.url} was fetched.")
    if isinstance(reason, (ConnectionRefusedError, socket.gaierror)):
        raise DownloadError(f"{host} cannot be reached ({reason}). Check the network and the address.")
    if isinstance(reason, (ConnectionError, http.client.HTTPException)):
        raise _CutError(f"The connection to {host} broke while {job.url} was fetched ({type(reason).__name__}).")
    raise DownloadError(f"{job.url} cannot be fetched: {reason}.")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but carry no token to another host, and never go from https to http."""

    def redirect_request(  # type: ignore[no-untyped-def]
        self, req: urllib.request.Request, fp, code: int, msg: str, headers, newurl: str
    ) -> urllib.request.Request | None:
        check_url(newurl, plain_http=urllib.parse.urlsplit(req.full_url).scheme == "http")
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and urllib.parse.urlsplit(newurl).netloc != urllib.parse.urlsplit(req.full_url).netloc:
            following.remove_header("Authorization")
        return following


_OPENER = urllib.request.build_opener(_Redirects)


def _has_hash(path: Path, sha256: str | None) -> bool:
    return sha256 is None or sha256_of(path).startswith(sha256)
