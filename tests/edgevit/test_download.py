"""Download against a stand-in server on this machine that can be told to fail: cut, stall, lie, refuse."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from edgevit.errors import DownloadError
from edgevit.models import download as downloads
from edgevit.models import weights
from edgevit.models.download import download, weights_dir
from edgevit.models.hub import HubFile, hub_file

PAYLOAD = bytes(range(256)) * 64
SHA = hashlib.sha256(PAYLOAD).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Behaviour:
    """Say how the server answers; every request is written down."""

    files: dict[str, bytes] = field(default_factory=lambda: {"/w.bin": PAYLOAD})
    cut_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    stall_s: float = 0.0
    ranges: bool = True
    etag: str | None = '"v1"'
    redirect: dict[str, str] = field(default_factory=dict)
    linked_etag: bool = True
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def gets(self) -> list[dict[str, str]]:
        return [headers for method, _, headers in self.seen if method == "GET"]


@dataclass
class Stand:
    """Hold the running server."""

    url: str
    behaviour: Behaviour


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    behaviour = Behaviour()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            behaviour.seen.append((self.command, self.path, dict(self.headers)))
            if behaviour.stall_s:
                time.sleep(behaviour.stall_s)
            if behaviour.statuses:
                return self._plain(behaviour.statuses.pop(0))
            if self.path in behaviour.redirect:
                return self._plain(302, {"Location": behaviour.redirect[self.path]})
            data = behaviour.files.get(self.path)
            if data is None:
                return self._plain(404, {"X-Error-Code": "EntryNotFound"})
            self._file(data, body)

        def _plain(self, status: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": "0", **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()

        def _file(self, data: bytes, body: bool) -> None:
            start = 0
            asked = self.headers.get("Range")
            same = self.headers.get("If-Range") in (None, behaviour.etag)
            if asked and behaviour.ranges and same:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(data):
                    return self._plain(416)
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            if behaviour.etag:
                self.send_header("ETag", behaviour.etag)
            if behaviour.linked_etag:
                self.send_header("X-Linked-Etag", f'"{hashlib.sha256(data).hexdigest()}"')
                self.send_header("X-Linked-Size", str(len(data)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            if not body:
                return
            if behaviour.cut_after:
                self.wfile.write(data[start : start + behaviour.cut_after.pop(0)])
                self.close_connection = True
                return
            self.wfile.write(data[start:])

    monkeypatch.setattr(downloads, "_PAUSES_S", (0.0, 0.0, 0.0))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield Stand(f"http://127.0.0.1:{httpd.server_address[1]}", behaviour)
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def _left(folder: Path) -> set[str]:
    """Name what lies in the folder, locks aside."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"} if folder.exists() else set()


def test_a_file_arrives_whole_and_is_not_fetched_twice(server: Stand, tmp_path: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    first = download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path, progress=lambda d, t: steps.append((d, t)))
    again = download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path)
    assert first == again == tmp_path / f"{SHA[:16]}-w.bin"
    assert first.read_bytes() == PAYLOAD
    assert steps[0] == (0, len(PAYLOAD))
    assert steps[-1] == (len(PAYLOAD), len(PAYLOAD))
    assert len(server.behaviour.seen) == 1
    assert _left(tmp_path) == {first.name}


def test_a_cut_connection_goes_on_where_it_was(server: Stand, tmp_path: Path) -> None:
    server.behaviour.cut_after = [5000, 6000]
    path = download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path)
    assert path.read_bytes() == PAYLOAD
    assert [h.get("Range") for h in server.behaviour.gets()] == [None, "bytes=5000-", "bytes=11000-"]
    assert server.behaviour.gets()[1]["If-Range"] == '"v1"'


def test_a_later_run_goes_on_too_and_a_part_is_never_taken_for_the_whole(server: Stand, tmp_path: Path) -> None:
    server.behaviour.cut_after = [5000]
    with pytest.raises(DownloadError, match=r"cut off after 5000 of 16384 bytes.*the same command goes on"):
        download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path, retries=0)
    assert _left(tmp_path) == {f"{SHA[:16]}-w.bin.part", f"{SHA[:16]}-w.bin.part.json"}
    assert download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path).read_bytes() == PAYLOAD
    assert server.behaviour.gets()[-1]["Range"] == "bytes=5000-"


def test_a_file_that_changed_meanwhile_starts_anew(server: Stand, tmp_path: Path) -> None:
    server.behaviour.files["/w.bin"] = PAYLOAD[::-1]
    server.behaviour.cut_after = [5000]
    with pytest.raises(DownloadError, match="cut off"):
        download(f"{server.url}/w.bin", sha256=None, target_dir=tmp_path, retries=0)
    server.behaviour.files["/w.bin"] = PAYLOAD
    server.behaviour.etag = '"v2"'
    assert download(f"{server.url}/w.bin", sha256=None, target_dir=tmp_path).read_bytes() == PAYLOAD


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_a_part_of_another_version_is_noticed_by_the_hash(server: Stand, tmp_path: Path, etag: str | None) -> None:
    server.behaviour.etag = etag
    server.behaviour.files["/w.bin"] = PAYLOAD[::-1]
    server.behaviour.cut_after = [5000]
    with pytest.raises(DownloadError, match="cut off"):
        download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path, retries=0)
    server.behaviour.files["/w.bin"] = PAYLOAD
    assert download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path).read_bytes() == PAYLOAD


def test_without_etag_and_hash_nothing_is_continued(server: Stand, tmp_path: Path) -> None:
    server.behaviour.etag = None
    server.behaviour.cut_after = [5000]
    assert download(f"{server.url}/w.bin", sha256=None, target_dir=tmp_path).read_bytes() == PAYLOAD
    assert all("Range" not in headers for headers in server.behaviour.gets())


@pytest.mark.parametrize("ranges", [True, False])
def test_servers_without_ranges_and_parts_too_long_are_survived(server: Stand, tmp_path: Path, ranges: bool) -> None:
    server.behaviour.ranges = ranges
    (tmp_path / f"{SHA[:16]}-w.bin.part").write_bytes(b"x" * 20000)
    (tmp_path / f"{SHA[:16]}-w.bin.part.json").write_text(json.dumps({"url": f"{server.url}/w.bin", "etag": '"v1"'}))
    assert download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path).read_bytes() == PAYLOAD


def test_a_wrong_hash_names_both_and_leaves_nothing(server: Stand, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=rf"SHA-256 is {SHA}, expected {'0' * 64}.*deleted"):
        download(f"{server.url}/w.bin", sha256="0" * 64, target_dir=tmp_path)
    assert _left(tmp_path) == set()
    with pytest.raises(DownloadError, match="'nonsense' is not a SHA-256"):
        download(f"{server.url}/w.bin", sha256="nonsense", target_dir=tmp_path)


def test_a_damaged_copy_in_the_cache_is_fetched_anew(server: Stand, tmp_path: Path) -> None:
    path = download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path)
    path.write_bytes(PAYLOAD[:-1])
    assert download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path).read_bytes() == PAYLOAD


@pytest.mark.parametrize(
    ("status", "sentence", "requests"),
    [
        (404, r"There is no file at http.*\(404\)", 1),
        (410, r"There is no file", 1),
        (403, r"refuses http.*\(403\)", 1),
        (401, r"refuses http.*\(401\)", 1),
        (500, r"failed \(500\)\. Gave up after 2 retries", 3),
        (503, r"failed \(503\)", 3),
        (418, r"status 418", 1),
    ],
)
def test_every_status_has_its_sentence(
    server: Stand, tmp_path: Path, status: int, sentence: str, requests: int
) -> None:
    server.behaviour.statuses = [status] * 9
    with pytest.raises(DownloadError, match=sentence):
        download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path, retries=2)
    assert len(server.behaviour.seen) == requests


def test_a_passing_failure_passes(server: Stand, tmp_path: Path) -> None:
    server.behaviour.statuses = [503, 429]
    assert download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path).read_bytes() == PAYLOAD


def test_a_silent_server_and_a_closed_port_are_told_apart(server: Stand, tmp_path: Path) -> None:
    server.behaviour.stall_s = 0.5
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 was silent for 0\.1 s"):
        download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path, timeout_s=0.1, retries=0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 cannot be reached"):
        download(f"http://127.0.0.1:{port}/w.bin", sha256=SHA, target_dir=tmp_path)


@pytest.mark.parametrize("url", ["http://example.org/w.bin", "ftp://example.org/w", "file:///etc/hosts", "https:///w"])
def test_only_https_is_fetched(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="only https"):
        download(url, sha256=SHA, target_dir=tmp_path)


def test_redirects_keep_no_token_for_strangers_and_lead_nowhere_unsafe(server: Stand, tmp_path: Path) -> None:
    other = server.url.replace("127.0.0.1", "localhost")
    server.behaviour.redirect = {"/a": f"{other}/w.bin", "/b": "ftp://example.org/w.bin", "/c": "http://example.org/w"}
    secret = {"Authorization": "Bearer secret"}
    path = download(f"{server.url}/a", sha256=SHA, target_dir=tmp_path, headers=secret)
    assert path.read_bytes() == PAYLOAD
    first, second = server.behaviour.gets()
    assert first["Authorization"] == "Bearer secret"
    assert "Authorization" not in second
    for unsafe in ("/b",):
        with pytest.raises(DownloadError):
            download(f"{server.url}{unsafe}", sha256=SHA, target_dir=tmp_path)


def test_two_at_once_fetch_once(server: Stand, tmp_path: Path) -> None:
    server.behaviour.stall_s = 0.1
    results: list[Path] = []

    def work() -> None:
        results.append(download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 1
    assert len(server.behaviour.seen) == 1


def test_a_folder_that_cannot_be_written_is_named(server: Stand, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="cannot be saved in"):
        download(f"{server.url}/w.bin", sha256=SHA, target_dir=tmp_path / "file")


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEVIT_CACHE", str(tmp_path))
    assert weights_dir() == tmp_path / "weights"
    monkeypatch.delenv("EDGEVIT_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights_dir() == tmp_path / ".cache" / "edgevit" / "weights"


# --- the hub -------------------------------------------------------------------------------------------------------

SAFETENSORS = save({"head.weight": torch.arange(6.0).reshape(2, 3)})
REPO = HubFile("timm/tiny.test")


@pytest.fixture
def hub(server: Stand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stand:
    server.behaviour.files = {"/timm/tiny.test/resolve/main/model.safetensors": SAFETENSORS}
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "their cache"))
    return server


def _hub_weights(tmp_path: Path, file: HubFile | None = REPO, timeout_s: float = 5.0) -> weights.LocalWeights:
    choice = weights.choose(None, name="tiny")
    assert choice.kind == "hub"
    return weights.fetch(choice, name="tiny", hub=file, target_dir=tmp_path / "ours", timeout_s=timeout_s)


def test_hub_weights_arrive_with_hash_and_commit(hub: Stand, tmp_path: Path) -> None:
    got = _hub_weights(tmp_path)
    assert got.path is not None
    assert got.path.read_bytes() == SAFETENSORS
    assert got.sha256 == hashlib.sha256(SAFETENSORS).hexdigest()
    assert got.source == f"hub timm/tiny.test@{COMMIT[:12]}"
    assert weights.read(got.path)["head.weight"].shape == (2, 3)


def test_hub_weights_resume(hub: Stand, tmp_path: Path) -> None:
    hub.behaviour.cut_after = [20, 20]
    got = _hub_weights(tmp_path)
    assert got.path is not None
    assert got.path.read_bytes() == SAFETENSORS
    assert [h.get("Range") for h in hub.behaviour.gets()] == [None, "bytes=20-", "bytes=40-"]


def test_fetched_once_they_need_no_network(hub: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _hub_weights(tmp_path)
    hub.behaviour.statuses = [500]
    assert _hub_weights(tmp_path) == first
    before = len(hub.behaviour.seen)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert _hub_weights(tmp_path) == first
    assert len(hub.behaviour.seen) == before


def test_offline_the_default_says_so_and_names_the_alternatives(
    hub: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"HF_HUB_OFFLINE is set.*--weights FILE.*--weights random") as caught:
        _hub_weights(tmp_path)
    assert "\n" not in str(caught.value)
    assert hub.behaviour.seen == []


def test_no_network_at_all(hub: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(DownloadError, match=r"hub cannot be reached.*--weights random"):
        _hub_weights(tmp_path)


def test_a_hub_that_lies_about_the_hash(hub: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    real = huggingface_hub.get_hf_file_metadata

    def lying(*args: Any, **kwargs: Any) -> Any:
        facts = real(*args, **kwargs)
        object.__setattr__(facts, "etag", "f" * 64)
        return facts

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lying)
    with pytest.raises(DownloadError, match=f"expected {'f' * 64}"):
        _hub_weights(tmp_path)
    assert _left(tmp_path / "ours") == set()


def test_a_repository_without_weights_and_one_that_is_not_there(hub: Stand, tmp_path: Path) -> None:
    hub.behaviour.files = {}
    with pytest.raises(DownloadError, match=r"holds none of model\.safetensors, pytorch_model\.bin"):
        _hub_weights(tmp_path)
    hub.behaviour.statuses = [401]
    with pytest.raises(DownloadError, match=r"refuses timm/tiny\.test \(401\).*HF_TOKEN"):
        _hub_weights(tmp_path)


def test_the_older_file_is_the_second_choice(hub: Stand, tmp_path: Path) -> None:
    hub.behaviour.files = {"/timm/tiny.test/resolve/main/pytorch_model.bin": PAYLOAD}
    got = _hub_weights(tmp_path)
    assert got.path is not None
    assert got.path.name.endswith("timm--tiny.test-pytorch_model.bin")


def test_a_silent_hub(hub: Stand, tmp_path: Path) -> None:
    hub.behaviour.stall_s = 0.6
    with pytest.raises(DownloadError, match=r"did not answer in time.*--weights random"):
        _hub_weights(tmp_path, timeout_s=0.1)


def test_small_files_without_a_promised_hash_are_checked_by_size(hub: Stand, tmp_path: Path) -> None:
    hub.behaviour.linked_etag = False
    hub.behaviour.etag = '"0123"'
    assert _hub_weights(tmp_path).sha256 == hashlib.sha256(SAFETENSORS).hexdigest()


def test_plain_addresses_of_older_cards_keep_their_short_hash(server: Stand, tmp_path: Path) -> None:
    server.behaviour.files = {f"/net-{SHA[:8]}.pth": PAYLOAD, "/net-00000000.pth": PAYLOAD}
    good = hub_file({"url": f"{server.url}/net-{SHA[:8]}.pth"})
    assert _hub_weights(tmp_path, good).sha256 == SHA
    with pytest.raises(DownloadError, match="expected 00000000"):
        _hub_weights(tmp_path, hub_file({"url": f"{server.url}/net-00000000.pth"}))


def test_cards_tell_where_the_weights_are() -> None:
    assert hub_file({"hf_hub_id": "timm/levit_128s.fb_dist_in1k", "url": "https://x/y"}) == HubFile(
        "timm/levit_128s.fb_dist_in1k"
    )
    assert hub_file({"hf_hub_id": "a/b@v2", "hf_hub_filename": "c.bin"}) == HubFile("a/b", "v2", ("c.bin",))
    assert hub_file({"hf_hub_id": None, "url": ""}) is None


def test_an_address_with_its_hash_is_a_choice(server: Stand, tmp_path: Path) -> None:
    choice = weights.parse(f"{server.url}/w.bin#sha256={SHA.upper()}")
    got = weights.fetch(choice, name="tiny", target_dir=tmp_path)
    assert (got.kind, got.sha256, got.source, got.url) == ("url", SHA, "w.bin", f"{server.url}/w.bin")
