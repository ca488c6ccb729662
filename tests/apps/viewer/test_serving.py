"""The port of a page: who may come, what is printed of it, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from shown_page import WAIT_S, Camera, Shown, hear

from edgevit.apps.viewer.serving import Serving
from edgevit.errors import EnvironmentFault, UsageError

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("PIL")
ConnectionClosed = pytest.importorskip("websockets.exceptions").ConnectionClosed


def test_others_need_the_token_and_their_own_origin(tmp_path: Path) -> None:
    token = "a-token-of-more-than-16"
    with Shown(tmp_path, [Camera()], token=token).running() as shown:
        assert token not in "".join(shown.said)
        assert shown.get("/")[0] == 401
        with pytest.raises(Exception, match="401"):
            shown.connect()
        status, _, headers = shown.get(f"/?token={token}")
        assert (status, headers["location"]) == (303, "/")
        cookie = headers["set-cookie"].partition(";")[0]
        assert shown.get("/viewer.js", Cookie=cookie)[0] == 200
        with pytest.raises(Exception, match="403"):
            shown.connect(additional_headers={"Cookie": cookie}, origin="http://elsewhere.example")
        with shown.connect(additional_headers={"Cookie": cookie}, origin=f"http://127.0.0.1:{shown.port}") as viewer:
            assert hear(viewer, "hello")["title"] == "null"


def test_a_token_that_was_made_is_shown_once_in_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEVIT_TOKEN", raising=False)
    monkeypatch.setattr("edgevit.apps.web.address.here", lambda: "192.0.2.7")
    serving = Serving("0.0.0.0:0", say=lambda words: None)
    assert serving._token is not None
    assert (
        f"http://192.0.2.7:{serving.address.port}/?token={serving._token} (the token is shown this once)"
        in serving._where()
    )
    serving.close()
    monkeypatch.setenv("EDGEVIT_TOKEN", "one-that-somebody-set")
    serving = Serving("0.0.0.0:0", say=lambda words: None)
    assert "one-that-somebody-set" not in serving._where()
    serving.close()


def test_a_port_that_is_taken_is_told(shown: Shown) -> None:
    with pytest.raises(EnvironmentFault, match="is taken by another program"):
        Serving(str(shown.port))
    with pytest.raises(UsageError, match="no port from 0 to 65535"):
        Serving("eighty")


def test_the_end_of_the_run_is_told_and_the_server_goes(tmp_path: Path) -> None:
    made = Shown(tmp_path, [Camera()])
    with made.running(), made.connect() as viewer:
        hear(viewer, "hello")
        made.pipeline.stop("enough")
        made._thread.join(WAIT_S)
        made.page.finish(made.pipeline.stopped)
        assert hear(viewer, "end") == {"type": "end", "why": "enough"}
        with pytest.raises(ConnectionClosed) as told:
            viewer.recv(timeout=WAIT_S)
        assert told.value.rcvd.code == 1001
    with pytest.raises(ConnectionRefusedError):
        made.get("/")
