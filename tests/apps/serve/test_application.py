"""Over a real socket: pictures are answered, everything else is refused in one shape, as the document promises."""

from __future__ import annotations

import io
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import served_here
from PIL import Image
from served_here import Here, picture
from web_asking import Reply, figure, misfits, until

for _package in ("onnxruntime", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(_package)

MOST = 200_000
OK = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    place = served_here.folder(tmp_path_factory.mktemp("bundles"))
    running = served_here.start_folder(place, most_body_bytes=MOST)
    yield running
    assert running.close()


@pytest.fixture(scope="module")
def document(here: Here) -> dict[str, Any]:
    told: dict[str, Any] = here.client().ask("/openapi.json").json()
    return told


def fits(document: dict[str, Any], path: str, method: str, reply: Reply) -> None:
    assert misfits(document, path, method, reply) == []


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
@pytest.mark.parametrize("declared", [True, False])
def test_a_picture_is_answered(here: Here, document: dict[str, Any], kind: str, declared: bool) -> None:
    said = {"PPM": "image/x-portable-anymap"}.get(kind, f"image/{kind.lower()}")
    headers = {"Content-Type": said if declared else "application/octet-stream"}
    reply = here.client().ask("/v1/good", body=picture(kind), headers=headers)
    assert reply.status == 200, reply.body
    fits(document, "/v1/good", "post", reply)
    told = reply.json()
    assert told["size_hw"] == [24, 32]
    assert [best["name"] for best in told["top"]] != []
    assert {"wait", "decode", "inference"} <= {
        part.partition(";")[0] for part in reply.headers["server-timing"].split(", ")
    }


def test_the_answer_is_the_bundles_own(here: Here, document: dict[str, Any]) -> None:
    red = io.BytesIO()
    Image.fromarray(np.tile(np.array([255, 0, 0], np.uint8), (8, 8, 1))).save(red, "PNG")
    reply = here.client().ask("/v1/raw", body=red.getvalue(), headers=OK)
    fits(document, "/v1/raw", "post", reply)
    assert reply.json()["top"][0]["name"] == "circle"  # the class of the red channel
    assert reply.json()["untrained"] is True


def test_the_list_says_what_is_served_what_is_proven_and_what_is_not_served(
    here: Here, document: dict[str, Any]
) -> None:
    reply = here.client().ask("/v1")
    fits(document, "/v1", "get", reply)
    told = reply.json()
    listed = {one["name"]: one for one in told["bundles"]}
    assert sorted(listed) == ["good", "picky", "raw"]
    assert (listed["good"]["trained"], listed["raw"]["trained"]) == (True, False)
    assert listed["good"]["proof"] == {"main": "executed"}
    assert [one["name"] for one in told["refused"]] == ["broken", "empty", "torn"]
    assert here.client().ask("/health").json() == {
        "live": True,
        "ready": True,
        "served": 3,
        "refused": 3,
        "hanging": [],
    }


def bomb(side: int) -> bytes:
    held = io.BytesIO()
    Image.new("1", (side, side)).save(held, "PNG")
    return held.getvalue()


def thin() -> bytes:
    """Return a small file of few pixels, which would need some hundred bytes for each of them."""
    held = io.BytesIO()
    Image.new("1", (1, 2_000_000)).save(held, "PNG")
    return held.getvalue()


def noise(kind: str) -> bytes:
    held = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(held, kind)
    return held.getvalue()


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "sentence"),
    [
        ("/v1/good", b"", OK, 422, "The body is empty"),
        ("/v1/good", b"hello", OK, 422, "not a picture"),
        ("/v1/good", noise("JPEG")[:900], OK, 422, "damaged or cut short"),
        ("/v1/good", noise("PNG")[:900], OK, 422, "damaged or cut short"),
        ("/v1/good", bomb(8000), OK, 422, "8000 x 8000 pixels; at most 50000000"),
        ("/v1/good", bomb(20_000), OK, 422, "more pixels; at most 50000000"),
        ("/v1/good", thin(), OK, 422, "1 x 2000000; at most 1048576 pixels a side"),
        ("/v1/good", b"%!PS-Adobe-3.0 EPSF-3.0\n", OK, 422, "not a picture"),
        ("/v1/good", b"{}", {"Content-Type": "application/json"}, 415, "curl --data-binary @picture.jpg"),
        ("/v1/good", b"x", {"Content-Type": "multipart/form-data; boundary=x"}, 415, "multipart/form-data"),
        ("/v1/good", bytes(MOST + 1), OK, 413, "larger than 200000 bytes"),
        ("/v1/picky", picture(grey=0), OK, 500, "gave NaN or infinity"),
        ("/v1/god", picture(), OK, 404, "Did you mean good?"),
        ("/v1/torn", picture(), OK, 404, "'torn' is not served: "),
        ("/v1/good/more", picture(), OK, 404, "There is no path named '/v1/good/more'. Did you mean /v1/good"),
        ("/v1/../v1/good", picture(), OK, 404, "There is no path"),
        ("/v1/good", None, {}, 405, "/v1/good is not for GET"),
        ("/health", b"x", {}, 405, "/health is not for POST"),
        ("/v1", None, {"Host": "evil.example"}, 421, "--allow-host"),
        ("/v1/good", picture(), {**OK, "Origin": "http://evil.example"}, 403, "another site"),
    ],
)
def test_everything_else_is_refused_in_one_shape(
    here: Here,
    document: dict[str, Any],
    path: str,
    body: bytes | None,
    headers: dict[str, str],
    status: int,
    sentence: str,
) -> None:
    reply = here.client().ask(path, body=body, headers=headers)
    assert reply.status == status, reply.body
    assert sentence in reply.json()["message"]
    if path in document["paths"] and status != 405:
        fits(document, path, "get" if body is None else "post", reply)
    else:
        assert set(reply.json()) == {"error", "message", "status"}
    if status == 405:
        assert reply.headers["allow"]
    assert here.client().ask("/v1/good", body=picture(), headers=OK).status == 200


def test_a_fault_of_the_engine_is_noted_for_who_runs_the_server(here: Here) -> None:
    here.client().ask("/v1/picky", body=picture(grey=0), headers=OK)
    until(lambda: any(note.startswith("picky: BadOutputError: ") for note in here.notes))


def test_the_page_asks_nobody_else_and_shows_what_is_served(here: Here) -> None:
    client = here.client()
    page = client.ask("/")
    text = page.body.decode()
    assert page.headers["content-type"].startswith("text/html")
    assert "/v1/good" in text
    assert "UNTRAINED" in text
    assert "//" not in text.replace("<!doctype", "").replace("https://", "")
    assert "http" not in text.replace("HTTP", "").replace("const&quot;: &quot;http", "")
    for name in ("/page.css", "/page.js"):
        assert client.ask(name).status == 200
        assert name in text


def test_with_a_token_the_document_says_so_and_nothing_is_open(tmp_path: Path) -> None:
    here = served_here.start_folder(served_here.folder(tmp_path), token="0123456789abcdef")
    try:
        described = here.client().ask("/openapi.json").json()
        assert described["security"] == [{"token": []}]
        here.token = None
        for path in (*described["paths"], "/page.js", "/nothing"):
            assert here.client().ask(path).status == 401
    finally:
        assert here.close()


def ask_beside(here: Here, replies: list[Reply], path: str = "/v1/slow") -> threading.Thread:
    thread = threading.Thread(target=lambda: replies.append(here.client().ask(path, body=picture(), headers=OK)))
    thread.start()
    return thread


def test_a_full_queue_answers_503_at_once_and_the_rest_are_answered(tmp_path: Path) -> None:
    here, session = served_here.start_waiting(tmp_path, depth=2)
    replies: list[Reply] = []
    asking = [ask_beside(here, replies)]
    assert session.began.acquire(timeout=60)
    asking += [ask_beside(here, replies), ask_beside(here, replies)]
    until(lambda: here.front.shelf.served["slow"].desk.waiting == 2)
    described = here.client().ask("/openapi.json").json()
    full = here.client().ask("/v1/slow", body=picture(), headers=OK)
    assert (full.status, full.headers["retry-after"]) == (503, "1")
    fits(described, "/v1/slow", "post", full)
    assert figure(here.client().ask("/metrics").body, "edgevit_serve_waiting", bundle="slow") == 2
    assert here.client().ask("/health").json()["ready"]
    session.let.release(3)
    for thread in asking:
        thread.join(60)
    assert [reply.status for reply in replies] == [200] * 3
    until(lambda: b'status="200"} 3.0' in here.client().ask("/metrics").body)
    text = here.client().ask("/metrics").body
    assert figure(text, "edgevit_serve_answers_total", bundle="slow", status="503") == 1
    assert figure(text, "edgevit_serve_stage_seconds_count", bundle="slow", stage="inference") == 3
    assert here.close()
    assert session.closed


def test_an_engine_that_hangs_is_not_waited_for_and_the_server_says_that_it_is_not_ready(tmp_path: Path) -> None:
    here, session = served_here.start_waiting(tmp_path, depth=4, timeout_s=0.3)
    described = here.client().ask("/openapi.json").json()
    replies = [here.client().ask("/v1/slow", body=picture(), headers=OK) for _ in range(2)]
    assert [reply.status for reply in replies] == [504, 504]
    fits(described, "/v1/slow", "post", replies[0])
    health = here.client().ask("/health")
    assert (health.status, health.json()["hanging"]) == (503, ["slow"])
    fits(described, "/health", "get", health)
    session.let.release()
    until(lambda: here.front.shelf.served["slow"].desk.busy_s() == 0)
    assert here.client().ask("/health").status == 200
    assert here.close()


def test_who_hangs_up_while_waiting_is_not_worked_for(tmp_path: Path) -> None:
    here, session = served_here.start_waiting(tmp_path, depth=4)
    replies: list[Reply] = []
    first = ask_beside(here, replies)
    assert session.began.acquire(timeout=60)
    with socket.create_connection(("127.0.0.1", here.running.address.port)) as line:
        body = picture()
        line.sendall(b"POST /v1/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        until(lambda: here.front.shelf.served["slow"].desk.waiting == 1)
    until(lambda: b'status="gone"' in here.client().ask("/metrics").body)
    session.let.release(2)
    first.join(60)
    assert [reply.json()["index"] for reply in replies] == [0]
    assert here.client().ask("/v1/slow", body=picture(), headers=OK).json()["index"] == 1
    assert here.close()


def test_the_end_finishes_what_is_in_flight(tmp_path: Path) -> None:
    here, session = served_here.start_waiting(tmp_path, depth=4)
    replies: list[Reply] = []
    asking = ask_beside(here, replies)
    assert session.began.acquire(timeout=60)
    threading.Timer(0.3, session.let.release).start()
    assert here.close()
    asking.join(60)
    assert [reply.status for reply in replies] == [200]
    assert session.closed


def test_bundles_that_are_deleted_are_served_until_the_end(tmp_path: Path) -> None:
    place = served_here.folder(tmp_path)
    here = served_here.start_folder(place)
    shutil.rmtree(place)
    try:
        client = here.client()
        assert client.ask("/v1/good", body=picture(), headers=OK).status == 200
        fault = client.ask("/v1/picky", body=picture(grey=0), headers=OK)
        assert (fault.status, str(tmp_path) in fault.body.decode()) == (500, False)
        assert [client.ask(path).status for path in ("/", "/v1", "/health", "/metrics")] == [200] * 4
    finally:
        assert here.close()


def test_the_document_is_json_that_says_which_version_it_is_of(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    text = json.dumps(document)
    places = {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}
    for place in places:
        found: Any = document
        for step in place.split("/"):
            found = found[step]
        assert found
    names = [told["operationId"] for path in document["paths"].values() for told in path.values()]
    assert len(names) == len(set(names))
