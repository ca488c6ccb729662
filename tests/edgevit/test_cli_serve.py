"""``edgevit serve`` as it is typed: where it listens, what it says once, how it ends; curl with and without a token."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import served_here
from web_asking import Client, until

from edgevit.cli import main

for _package in ("onnxruntime", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(_package)

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served_here.folder(tmp_path_factory.mktemp("bundles"))


class Typed:
    """Run the verb as a process and read what it says first."""

    def __init__(self, *words: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgevit", "serve", *words, "--json", "--threads", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.told: dict[str, Any] = json.loads(line)
        self.url: str = self.told["url"]

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; return the exit code and what was said on stderr."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


@pytest.fixture(scope="module")
def typed(place: Path) -> Iterator[Typed]:
    running = Typed(str(place), "0")
    yield running
    if running.process.poll() is None:
        running.end()


def curl(*words: str) -> tuple[int, Any]:
    """Type curl; return the status and the answer."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    done = subprocess.run(
        [program, "-sS", "-m", "60", "--noproxy", "*", "-w", "\n%{http_code}", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body.startswith("{") else body


def test_it_says_where_it_serves_what(typed: Typed) -> None:
    assert typed.url.startswith("http://127.0.0.1:")
    assert typed.told["protected"] is False
    assert typed.told["served"] == ["good", "picky", "raw"]
    assert sorted(typed.told["refused"]) == ["broken", "empty", "torn"]


def test_curl_is_answered(typed: Typed, tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(served_here.picture(size_wh=(320, 240)))
    for more in ((), ("-H", "Content-Type: image/jpeg"), ("-H", "Transfer-Encoding: chunked")):
        status, told = curl("--data-binary", f"@{path}", *more, f"{typed.url}v1/good")
        assert (status, told["size_hw"]) == (200, [240, 320])
    status, told = curl("-F", f"picture=@{path}", f"{typed.url}v1/good")
    assert (status, "--data-binary" in told["message"]) == (415, True)
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(17 << 20))
    for more in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:")):
        status, told = curl("--data-binary", f"@{large}", *more, f"{typed.url}v1/good")
        assert (status, told["error"]) == (413, "Content Too Large")


def test_with_a_token_curl_must_show_it_and_no_line_that_is_said_holds_it(place: Path, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(served_here.picture("PNG"))
    token = "spoken-once-0123456789"
    running = Typed(str(place / "good"), "0", "--log", EDGEVIT_TOKEN=token)
    assert running.told["protected"] is True
    ask = ("--data-binary", f"@{path}", f"{running.url}v1/good")
    assert curl(*ask)[0] == 401
    assert curl("-H", "Authorization: Bearer wrong", *ask)[0] == 401
    assert curl("-H", f"Authorization: Bearer {token}", *ask)[0] == 200
    jar = ("-c", str(tmp_path / "jar"), "-b", str(tmp_path / "jar"))
    status, page = curl(*jar, "-L", f"{running.url}?token={token}")
    assert (status, "<h1>edgevit serve" in page) == (200, True)
    code, err = running.end()
    assert code == 130
    assert " /v1/good 401 " in err
    assert token not in err + json.dumps(running.told)


def test_from_other_machines_a_token_is_made_and_shown_once(place: Path) -> None:
    running = Typed(str(place / "good"), "0.0.0.0:0", "--log", EDGEVIT_TOKEN="")
    _, _, token = running.url.partition("?token=")
    port = running.told["address"].rpartition(":")[2]
    assert running.told["protected"]
    assert len(token) >= 24
    client = Client(f"http://127.0.0.1:{port}/")
    assert client.ask("/v1").status == 401
    assert client.ask("/v1", headers={"Authorization": f"Bearer {token}"}).status == 200
    client.close()
    code, err = running.end(signal.SIGTERM)
    assert code == 143
    assert token not in err


def test_a_request_that_is_under_way_at_the_end_is_answered(place: Path) -> None:
    """The signal comes in the middle of the body."""
    running = Typed(str(place), "0")
    where = ("127.0.0.1", urlsplit(running.url).port or 0)
    body = served_here.picture()
    with socket.create_connection(where, timeout=60) as line:
        head = f"POST /v1/good HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        line.sendall(head.encode() + body[:10])
        Client(running.url).ask("/health")  # what was said before has been heard
        running.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(where))
        line.sendall(body[10:])
        assert line.recv(12) == b"HTTP/1.1 200"
    assert running.process.wait(60) == 143
    running.process.communicate()


def refuses(where: tuple[str, int]) -> bool:
    """Tell whether nobody listens there any more."""
    try:
        socket.create_connection(where, timeout=60).close()
    except ConnectionRefusedError:
        return True
    return False


def test_people_are_told_the_same(place: Path) -> None:
    words = [sys.executable, "-m", "edgevit", "serve", str(place), "0", "--threads", "1"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert line.startswith("Serving good, picky, raw at http://127.0.0.1:")
    assert "raw: tiny, onnx fp32, UNTRAINED (ONNX Runtime" in err
    assert "not served: torn: " in err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["{place}/none"], 2, "There is no bundle named"),
        (["{place}", "http://x"], 2, "is a URL or a path, not an address"),
        (["{place}", "99999"], 2, "has no port from 0 to 65535"),
        (["{place}", "0", "--token", "short"], 2, "The token must be 16 to 512 letters"),
        (["{place}/torn", "0"], 2, "can be served. torn: "),
        (["{place}", "0", "--engine", "onxruntime"], 2, "Nothing in"),
        (["levit_128s", "0"], 2, "edgevit export levit_128s"),
        (["{place}", "0", "--queue", "0"], 2, "from 1 to 10000"),
    ],
)
def test_what_cannot_be_is_told(words: list[str], code: int, sentence: str, place: Path, capsys: Capture) -> None:
    assert main(["serve", *(word.format(place=place) for word in words)]) == code
    said = capsys.readouterr().err
    assert sentence in said
    assert "short" not in said.replace("shorter", "")


def test_a_taken_port_is_told_before_any_model_is_loaded(typed: Typed, place: Path, capsys: Capture) -> None:
    assert main(["serve", str(place), typed.told["address"]]) == 3
    captured = capsys.readouterr()
    assert "is taken by another program" in captured.err
    assert "good:" not in captured.err
