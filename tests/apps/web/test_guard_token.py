"""Nothing is answered without the token, over a real socket, and a browser that shows it once has a cookie instead."""

from __future__ import annotations

import pytest
from guarded import TOKEN, Served

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


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
