"""An address is what was typed, this machine alone unless it says otherwise, and a sentence where it makes no sense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevit.apps.web.address import Address, parse_address
from edgevit.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "host", "port", "loopback"),
    [
        ("8080", "127.0.0.1", 8080, True),
        (":9464", "127.0.0.1", 9464, True),
        ("0", "127.0.0.1", 0, True),
        ("localhost:80", "127.0.0.1", 80, True),
        ("127.0.0.2:80", "127.0.0.2", 80, True),
        ("[::1]:8080", "::1", 8080, True),
        ("[0:0::1]:8080", "::1", 8080, True),
        ("0.0.0.0:8080", "0.0.0.0", 8080, False),
        ("*:8080", "0.0.0.0", 8080, False),
        ("[::]:8080", "::", 8080, False),
        ("192.168.1.7:65535", "192.168.1.7", 65535, False),
        ("board.local:8080", "board.local", 8080, False),
        # What a name means is for others to say; only an address is known to be of this machine.
        ("localhost.localdomain:1", "localhost.localdomain", 1, False),
    ],
)
def test_what_is_typed_is_what_is_meant(typed: str, host: str, port: int, loopback: bool) -> None:
    address = parse_address(typed)
    assert address == Address(host, port)
    assert address.loopback is loopback


@pytest.mark.parametrize(
    "typed",
    [
        *("", "x", "65536", "-1", "٣", "http://127.0.0.1:80", "::1:80", "[1.2.3.4]:80", "[::1]", "1.2.3:80", "a b:80"),
        *("host:", "-a:1", "a..b:1", "999.1.1.1:80", "host:80/x"),
    ],
)
def test_what_makes_no_sense_is_told_with_an_example(typed: str) -> None:
    with pytest.raises(UsageError, match=r"\[::1\]:8080"):
        parse_address(typed)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_is_read_back_as_it_is_shown(ip: object, port: int) -> None:
    address = Address(str(ip), port)
    assert parse_address(str(address)) == address
    assert address.url.startswith("http://")


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_a_sentence(text: str) -> None:
    try:
        address = parse_address(text)
    except UsageError:
        return
    assert 0 <= address.port <= 65535


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("8080", "localhost:8080", True),
        ("0.0.0.0:8080", "8080", True),
        ("192.168.1.7:8080", "[::]:8080", True),
        ("8080", "8081", False),
        ("8080", "192.168.1.7:8080", False),
        ("0", "0", False),
    ],
)
def test_two_that_name_one_port_are_known(one: str, other: str, same: bool) -> None:
    first, second = parse_address(one), parse_address(other)
    assert (first.same_port(second), second.same_port(first)) == (same, same)


def test_what_is_shown_can_be_typed_where_it_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevit.apps.web.address.here", lambda: "10.1.2.3")
    assert parse_address("0.0.0.0:80").shown_url == "http://10.1.2.3:80/"
    assert parse_address("80").shown_url == "http://127.0.0.1:80/"
    monkeypatch.setattr("edgevit.apps.web.address.here", lambda: None)
    assert parse_address("0.0.0.0:80").shown_url == "http://127.0.0.1:80/"
