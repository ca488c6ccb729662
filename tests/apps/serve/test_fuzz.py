"""Ask a thousand things, half of which the served document allows; the server must live.

Every answer must be one that the document declares. No fault but a declared one, nothing that hangs, and afterwards
the server is as ready, and has as many threads and as much memory, as before.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import blob_onnx
import pytest
import served_here
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served_here import Here, picture
from web_asking import Client, misfits

for _package in ("onnxruntime", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(_package)

TOKEN = "fuzz-token-0123456789"
MOST = 100_000
NO_FAULT = {500: "picky"}
"""The only 5xx that this load may bring, and the bundle whose net answers NaN for dark pictures."""

EVERYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    place = served_here.folder(tmp_path_factory.mktemp("bundles"))
    blob_onnx.write(place / "blob")
    running = served_here.start_folder(place, token=TOKEN, most_body_bytes=MOST, body_timeout_s=1.0)
    yield running
    assert running.close()


@pytest.fixture(scope="module")
def document(here: Here) -> dict[str, Any]:
    told: dict[str, Any] = here.client().ask("/openapi.json").json()
    return told


good = picture("JPEG")
bodies = st.one_of(
    st.sampled_from([good, picture("PNG"), picture("GIF", grey=0), b"", good + b"more", b"x" * (MOST + 1)]),
    st.integers(0, len(good)).map(lambda size: good[:size]),
    st.builds(
        lambda at, bits: good[:at] + bits + good[at + len(bits) :], st.integers(0, len(good)), st.binary(max_size=9)
    ),
    st.binary(max_size=300),
)
words = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
tokens = st.sampled_from([TOKEN] * 6 + [TOKEN[:-1], TOKEN.upper(), "", "\xe4\xf6"]) | words
headers = st.fixed_dictionaries(
    {},
    optional={
        "Host": st.sampled_from(["localhost", "evil.example", "[::1", ""]) | words,
        "Origin": st.sampled_from(["http://evil.example", "null"]) | words,
        "Cookie": words,
        "Expect": st.sampled_from(["100-continue", "tea"]),
        "Accept": words,
        "Accept-Encoding": words,
        "Range": st.just("bytes=0-1"),
        "X-Forwarded-For": words,
        "Sec-Fetch-Site": st.sampled_from(["cross-site", "none", "same-origin"]),
        "Connection": st.sampled_from(["close", "keep-alive"]),
    },
)
queries = st.sampled_from(
    ["", "?box=4,4,8,8", "?point=9,9", "?run=x", "?box=nan,1,1,1", "?box=9e99,0,1,1"]
) | st.builds(lambda key, value: "?" + urlencode({key: value}), st.sampled_from(["box", "point", "run"]) | words, words)
methods = st.sampled_from(["GET", "POST"] * 5 + ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"])


def types_of(document: dict[str, Any]) -> list[str]:
    found = [told["post"]["requestBody"]["content"] for told in document["paths"].values() if "post" in told]
    return sorted({kind for content in found for kind in content})


@pytest.mark.parametrize("allowed", [True, False])
def test_a_thousand_requests_bring_only_what_is_declared(here: Here, document: dict[str, Any], allowed: bool) -> None:
    """``allowed``: paths, methods and types are the document's, only bodies and tokens vary; else all of it does."""
    kinds = st.sampled_from(types_of(document))
    places = st.sampled_from(sorted(document["paths"]))
    client = here.client()
    before = _state(client)
    count = 0

    @settings(parent=EVERYWHERE, max_examples=500)
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        nonlocal count
        count += 1
        path = data.draw(places if allowed else places | words.map(lambda text: "/" + quote(text)))
        declared = document["paths"].get(path, {})
        method = data.draw(st.sampled_from([name.upper() for name in declared]) if allowed else methods)
        body = data.draw(bodies) if method not in ("GET", "HEAD") else None
        shown = {"Authorization": f"Bearer {data.draw(tokens)}"}
        shown |= {"Content-Type": data.draw(kinds if allowed else kinds | words)} if body is not None else {}
        shown |= {} if allowed else data.draw(headers)
        chunked = body is not None and len(body) > 0 and data.draw(st.booleans())
        try:
            reply = client.ask(
                path + data.draw(queries),
                method=method,
                body=iter([body]) if chunked and body else body,
                headers=shown,
                chunked=chunked,
            )
        except (UnicodeEncodeError, ValueError):  # what http.client itself would never send
            return
        if method.lower() in declared:
            assert misfits(document, path, method, reply) == []
        elif method != "HEAD":
            assert set(reply.json()) == {"error", "message", "status"}
        if reply.status >= 500:
            assert NO_FAULT[reply.status] in path
        if reply.status != 401 and shown["Authorization"] != f"Bearer {TOKEN}":
            assert reply.status in (400, 403, 421)

    fuzz()
    assert count >= 500
    _is_as_before(before, client)


@settings(parent=EVERYWHERE, max_examples=30)
@given(
    st.lists(
        st.binary(max_size=60) | st.sampled_from([b"GET / HTTP/1.1\r\n", b"Host: localhost\r\n", b"\r\n"]), max_size=5
    )
)
def test_bytes_that_are_no_http_do_no_harm(here: Here, parts: list[bytes]) -> None:
    line = socket.create_connection(("127.0.0.1", here.running.address.port), timeout=30)
    with line, contextlib.suppress(ConnectionError):
        line.sendall(b"".join(parts))
        line.shutdown(socket.SHUT_WR)
        said = b""
        while more := line.recv(4096):
            said += more
        assert not said or said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 421"))
    assert here.client().ask("/health").status == 200


def test_bodies_that_lie_about_their_length_or_never_end_are_bounded(here: Here) -> None:
    head = f"POST /v1/good HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
    place = ("127.0.0.1", here.running.address.port)
    for more, first in (
        (b"Content-Length: 50\r\n\r\nshort", b"HTTP/1.1 408"),
        (b"Content-Length: 99999999999999999999\r\n\r\n", b"HTTP/1.1 4"),
        (b"Content-Length: -1\r\n\r\n", b"HTTP/1.1 400"),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", b"HTTP/1.1 400"),
        (b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", b"HTTP/1.1 400"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", b"HTTP/1.1 "),
        (b"Transfer-Encoding: chunked\r\n\r\n" + b"fff\r\n" + bytes(0xFFF) + b"\r\n", b"HTTP/1.1 408"),
    ):
        with socket.create_connection(place, timeout=30) as line:
            line.sendall(head + more)
            assert line.recv(4096).startswith(first), more[:40]
    with socket.create_connection(place, timeout=30) as line:
        line.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):  # the server stops listening to it
            for _ in range(20_000):
                line.sendall(b"1000\r\n" + bytes(0x1000) + b"\r\n")
            raise AssertionError("80 MB went into a body of at most 100 kB")
    assert here.client().ask("/v1/good", body=good, headers={"Content-Type": "image/jpeg"}).status == 200


def _state(client: Client) -> tuple[int, int]:
    """Return the threads and the memory in kB."""
    assert client.ask("/health").json()["ready"]
    held = Path("/proc/self/statm")
    return threading.active_count(), int(held.read_text().split()[1]) * 4 if held.exists() else 0


def _is_as_before(before: tuple[int, int], client: Client) -> None:
    threads, held_kb = _state(client)
    assert threads <= before[0]
    assert held_kb < before[1] + 60_000
    assert client.ask("/v1/good", body=good, headers={"Content-Type": "image/jpeg"}).status == 200
