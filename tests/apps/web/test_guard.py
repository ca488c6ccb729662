"""The guard lets in what may, over a real socket: in this order, with these headers, and so often."""

from __future__ import annotations

import pytest
from guarded import BEARER, TOKEN, Served
from web_asking import until

from edgevit.apps.web.address import Address
from edgevit.apps.web.guard import Rules
from edgevit.errors import UsageError

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


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


def test_other_machines_are_never_answered_without_a_token() -> None:
    with pytest.raises(UsageError, match="a token is needed"):
        Rules(Address("0.0.0.0", 1))
