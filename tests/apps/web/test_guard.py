"""The guard lets in what may, over a real socket, and nothing behind it or beside it ever sees the token."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from web_asking import Client, until

from edgevit.apps.web.address import Address
from edgevit.apps.web.guard import Guard, Rules
from edgevit.apps.web.running import Listening, Running
from edgevit.errors import UsageError

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
sync = pytest.importorskip("websockets.sync.client")
exceptions = pytest.importorskip("websockets.exceptions")

TOKEN = "correct-horse-battery"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
MOST = 1000


def mirror() -> Any:
    """Return an application that shows what it was given."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocket

    async def show(request: Request) -> Response:
        return JSONResponse({"query": request.url.query, "headers": dict(request.headers)})

    async def count(request: Request) -> Response:
        return JSONResponse({"bytes": len(await request.body())})

    async def own(request: Request) -> Response:
        return Response("x", headers={"Cache-Control": "max-age=60"})

    async def broken(request: Request) -> Response:
        raise ValueError("a secret of the application")

    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    return Starlette(
        routes=[
            Route("/", show),
            Route("/count", count, methods=["POST"]),
            Route("/own", own),
            Route("/broken", broken),
            WebSocketRoute("/echo", echo),
        ]
    )


class Served:
    """Run the mirror behind a guard with these rules; ``lines`` is all that was logged."""

    def __init__(self, **rules: Any) -> None:
        self.lines: list[str] = []
        self._listening = Listening(Address())
        made = Rules(self._listening.address, **{"rate_per_s": 1e6, "burst": 10**6, "most_body_bytes": MOST, **rules})
        guard = Guard(mirror(), made, log=self.lines.append, note=self.lines.append)
        self.running = Running(guard, self._listening)
        self.port = self._listening.address.port
        self.client = Client(self.running.url)
        self.ask = self.client.ask

    def __enter__(self) -> Served:
        self.running.start()
        return self

    def __exit__(self, *what: object) -> None:
        self.client.close()
        assert self.running.stop()


@pytest.fixture(scope="module")
def shut() -> Iterator[Served]:
    """Serve with a token."""
    with Served(token=TOKEN) as served:
        yield served


@pytest.fixture(scope="module")
def free() -> Iterator[Served]:
    """Serve without one."""
    with Served(hosts=("board.local",)) as served:
        yield served


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer \xff\xfe"},
        {"Cookie": f"edgevit={TOKEN}"},
        {"Cookie": f"token={TOKEN}; ;=;"},
    ],
)
def test_without_the_right_token_nothing_is_answered(shut: Served, headers: dict[str, str]) -> None:
    reply = shut.ask("/", headers=headers)
    assert (reply.status, reply.json()["status"], reply.json()["error"]) == (401, 401, "Unauthorized")
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert TOKEN.encode() not in reply.body


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_with_the_token_the_application_answers_and_does_not_see_it(shut: Served, kind: str) -> None:
    reply = shut.ask("/?a=1", headers={"Authorization": f"{kind} {TOKEN}", "Cookie": "x=y"})
    assert reply.status == 200
    assert reply.json()["query"] == "a=1"
    assert not {"authorization", "cookie"} & set(reply.json()["headers"])


def test_a_browser_shows_the_token_once_and_then_has_a_cookie_that_is_not_the_token(shut: Served) -> None:
    first = shut.ask(f"/?a=1&token={TOKEN}&b=%C3%A4")
    assert (first.status, first.headers["location"]) == (303, "/?a=1&b=%C3%A4")
    cookie, *attributes = first.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} == set(attributes)
    assert TOKEN not in cookie
    assert cookie.startswith(f"edgevit_{shut.port}=")
    assert shut.ask("/", headers={"Cookie": f"other=1; {cookie}"}).status == 200
    assert shut.ask("/", headers={"Cookie": cookie[:-1]}).status == 401
    assert shut.ask("/", headers={"Cookie": cookie.replace(str(shut.port), "1")}).status == 401


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/?token=wrong", "GET", 401),
        (f"/?token={TOKEN}&token={TOKEN}", "GET", 401),
        (f"/count?token={TOKEN}", "POST", 401),
        (f"/?token={TOKEN}", "HEAD", 401),
    ],
)
def test_a_token_in_the_address_is_for_opening_a_page_only(shut: Served, path: str, method: str, status: int) -> None:
    assert shut.ask(path, method=method, body=b"x" if method == "POST" else None).status == status


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("//evil.example/x", "/evil.example/x"),
        ("/\\evil.example", "/evil.example"),
        ("/%5c%2f%2fevil.example", "/evil.example"),
        ("/a%0d%0aSet-Cookie:%20x", "/a%0D%0ASet-Cookie%3A%20x"),
    ],
)
def test_the_clean_address_is_always_on_this_server(shut: Served, path: str, location: str) -> None:
    assert shut.ask(f"{path}?token={TOKEN}").headers["location"] == location


def test_after_a_link_from_elsewhere_a_page_leads_on_since_a_redirect_would_lose_the_cookie(shut: Served) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    reply = shut.ask(f'/?a="><b>&token={TOKEN}', headers=headers)
    assert reply.status == 200
    assert b"url=/?a=%22%3E%3Cb%3E" in reply.body
    assert "set-cookie" in reply.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("localhost.", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:80", 200),
        ("board.local:80", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("192.168.1.1", 421),
        ("localhost:80:80", 421),
        ("user@localhost", 421),
        ("", 421),
    ],
)
def test_a_name_that_is_not_ours_is_not_answered(free: Served, host: str, status: int) -> None:
    reply = free.ask("/", headers={"Host": host})
    assert reply.status == status
    assert status == 200 or "--allow-host" in reply.json()["message"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://{}", 200),
        ("https://evil.example", 403),
        ("http://localhost:1", 403),
        ("http://127.0.0.1", 403),
        ("null", 403),
        ("file://", 403),
        ("http://[", 403),
        ("http://a:b", 403),
    ],
)
def test_only_our_own_pages_may_change_anything(free: Served, origin: str, status: int) -> None:
    headers = {"Origin": origin.format(f"127.0.0.1:{free.port}")}
    assert free.ask("/count", body=b"x", headers=headers).status == status


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("cross-site", "no-cors", 403),
        ("same-site", "cors", 403),
        ("cross-site", "navigate", 200),
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
    ],
)
def test_other_sites_may_link_here_and_not_embed_us(free: Served, site: str, mode: str, status: int) -> None:
    assert free.ask("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}).status == status


@pytest.mark.parametrize("size", [0, 1, MOST - 1, MOST])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_within_the_limit_goes_through(free: Served, size: int, chunked: bool) -> None:
    body: Any = iter([b"x" * size]) if chunked and size else b"x" * size
    reply = free.ask("/count", method="POST", body=body, chunked=chunked)
    assert (reply.status, reply.json()) == (200, {"bytes": size})


@pytest.mark.parametrize("size", [MOST + 1, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_larger_body_is_refused_and_the_sender_reads_why(free: Served, size: int, chunked: bool) -> None:
    body: Any = (b"x" * min(65536, size - at) for at in range(0, size, 65536)) if chunked else b"x" * size
    reply = free.ask("/count", method="POST", body=body, chunked=chunked)
    assert (reply.status, reply.json()["error"]) == (413, "Content Too Large")
    assert free.ask("/").status == 200


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with Served(body_timeout_s=0.3) as served:
        reply = served.ask("/count", method="POST", headers={"Content-Length": "10"})
        assert (reply.status, reply.json()["status"]) == (408, 408)


def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    with Served(rate_per_s=0.01, burst=3) as served:
        assert [served.ask("/").status for _ in range(5)] == [200, 200, 200, 429, 429]
        reply = served.ask("/")
        assert 1 <= int(reply.headers["retry-after"]) <= 101


def test_a_wrong_token_costs_as_much_as_many_requests() -> None:
    with Served(token=TOKEN, rate_per_s=0.01, burst=25) as served:
        assert [served.ask("/").status for _ in range(4)] == [401, 401, 401, 429]
        assert served.ask("/", headers=BEARER).status == 429


def test_every_answer_has_the_strict_headers(shut: Served, free: Served) -> None:
    replies = [shut.ask("/"), shut.ask("/", headers=BEARER), shut.ask(f"/?token={TOKEN}"), free.ask("/nothing")]
    replies += [free.ask("/broken"), free.ask("/", headers={"Host": "x.y"}), free.ask("/count", body=b"x" * 2000)]
    assert [reply.status for reply in replies] == [401, 200, 303, 404, 500, 421, 413]
    for reply in replies:
        assert reply.headers["content-security-policy"].startswith("default-src 'self';")
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert "camera=()" in reply.headers["permissions-policy"]
        assert reply.headers["cache-control"] == "no-store"
        assert "server" not in reply.headers
    assert free.ask("/own").headers["cache-control"] == "max-age=60"


def test_a_fault_of_the_application_is_noted_and_not_shown(free: Served) -> None:
    reply = free.ask("/broken")
    assert reply.status == 500
    assert b"secret" not in reply.body
    until(lambda: any("ValueError: a secret of the application" in line for line in free.lines))


def test_a_websocket_goes_the_same_way(shut: Served, free: Served) -> None:
    place = f"ws://127.0.0.1:{shut.port}/echo"
    with sync.connect(place, additional_headers=BEARER) as line:
        line.send("hello")
        assert line.recv(timeout=30) == "hello"
    for headers, origin, status in (
        ({}, None, 401),
        ({"Authorization": "Bearer x"}, None, 401),
        (BEARER, "http://evil.example", 403),
        ({**BEARER, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "websocket"}, None, 403),
    ):
        with pytest.raises(exceptions.InvalidStatus) as refused:
            sync.connect(place, additional_headers=headers, origin=origin)
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body)["status"] == status
    with sync.connect(f"ws://127.0.0.1:{free.port}/echo", origin=f"http://127.0.0.1:{free.port}") as line:
        line.send("free")
        assert line.recv(timeout=30) == "free"


def test_a_message_that_is_too_long_ends_its_websocket_only(free: Served) -> None:
    with sync.connect(f"ws://127.0.0.1:{free.port}/echo") as line:
        line.send("x" * 100_000)
        with pytest.raises(exceptions.ConnectionClosed):
            line.recv(timeout=30)
    assert free.ask("/").status == 200


def test_no_log_holds_the_token(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, logger="websockets.client")  # that is the test's own side
    with Served(token=TOKEN) as served:
        served.ask(f"/?token={TOKEN}")
        served.ask(f"/broken?%74oken={TOKEN}", headers=BEARER)
        served.ask("/broken", headers={"Cookie": f"token={TOKEN}", **BEARER})
        with sync.connect(f"ws://127.0.0.1:{served.port}/echo?token={TOKEN}", additional_headers=BEARER):
            pass
    said = [*served.lines, *(record.getMessage() for record in caplog.records), *capfd.readouterr()]
    assert any("/broken 500" in line for line in said)
    assert not [line for line in said if TOKEN in line]
    assert TOKEN not in repr(served.running.__dict__)


def test_a_log_that_nobody_reads_any_more_fails_no_request() -> None:
    def gone(line: str) -> None:
        raise BrokenPipeError

    listening = Listening(Address())
    with Running(Guard(mirror(), Rules(listening.address), log=gone, note=gone), listening) as running:
        client = Client(running.url)
        assert [client.ask(path).status for path in ("/", "/broken", "/")] == [200, 500, 200]
        client.close()


def test_a_line_of_the_log_is_one_line_without_the_query(free: Served) -> None:
    free.ask("/a%0a%1b[31m?secret=1")
    until(lambda: any(line.startswith("127.0.0.1 GET /a%0A%1B%5B31m 404 ") for line in free.lines))
    assert "secret=1" not in "".join(free.lines)


def test_other_machines_are_never_answered_without_a_token() -> None:
    with pytest.raises(UsageError, match="a token is needed"):
        Rules(Address("0.0.0.0", 1))
