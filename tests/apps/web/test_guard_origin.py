"""Names that are not ours are not answered, and no page of another site is."""

from __future__ import annotations

import pytest
from guarded import Served

from edgevit.apps.web.address import Address
from edgevit.errors import EnvironmentFault

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


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


def test_an_ipv6_address_is_a_name_like_any_other() -> None:
    try:
        served = Served(Address("::1"))
    except EnvironmentFault:
        pytest.skip("this machine has no IPv6")
    with served:
        own = f"[::1]:{served.port}"
        assert served.ask("/").status == 200
        assert served.ask("/count", body=b"x", headers={"Origin": f"http://{own}"}).status == 200
        assert served.ask("/count", body=b"x", headers={"Origin": "http://[::2]:1"}).status == 403
        assert [served.ask("/", headers={"Host": host}).status for host in (own, "[::2]", "localhost")] == [
            200,
            421,
            200,
        ]
