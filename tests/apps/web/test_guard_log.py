"""Nothing behind the guard or beside it ever writes the token down, and a line of the log is one line."""

from __future__ import annotations

import logging

import pytest
from guarded import BEARER, TOKEN, Served, mirror
from web_asking import Client, until

from edgevit.apps.web.address import Address
from edgevit.apps.web.guard import Guard, Rules
from edgevit.apps.web.running import Listening, Running

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
sync = pytest.importorskip("websockets.sync.client")


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
