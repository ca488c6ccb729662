"""Over a real socket: a tracker's runs keep their targets apart, are bounded, and end when nobody sends any more."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blob_onnx
import numpy as np
import pytest
import red_box
import served_here
from PIL import Image
from served_here import Here
from web_asking import Client, Reply, misfits

from edgevit.apps.serve import following

for _package in ("onnxruntime", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(_package)

BOX = red_box.FIRST


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    place = tmp_path_factory.mktemp("bundles")
    blob_onnx.write(place / "blob")
    running = served_here.start_folder(place)
    yield running
    assert running.close()


@pytest.fixture
def client(here: Here) -> Iterator[Client]:
    made = here.client()
    yield made
    made.close()


def png(pixels: Any) -> bytes:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "PNG")
    return held.getvalue()


def ask(client: Client, index: int, query: str, *, turned: bool = False) -> Reply:
    pixels = red_box.picture(index)
    return client.ask(f"/v1/blob?{query}", body=png(np.ascontiguousarray(pixels[:, ::-1]) if turned else pixels))


def test_two_runs_follow_their_own_targets(here: Here, client: Client) -> None:
    document = client.ask("/openapi.json").json()
    x, y, w, h = (float(word) for word in BOX.split(","))
    turned_box = f"{red_box.SIZE_HW[1] - x - w},{y},{w},{h}"
    first, second = ask(client, 0, f"box={BOX}").json(), ask(client, 0, f"box={turned_box}", turned=True).json()
    assert first["run"] != second["run"]
    for index in range(1, 6):
        one = ask(client, index, f"run={first['run']}")
        other = ask(client, index, f"run={second['run']}", turned=True)
        assert misfits(document, "/v1/blob", "post", one) == []
        for reply, left in ((one, x + 2 * index), (other, red_box.SIZE_HW[1] - x - w - 2 * index)):
            (track,) = reply.json()["tracks"]
            assert reply.json()["index"] == index
            assert track["state"] == "tracking"
            assert track["box_xyxy"][0] == pytest.approx(left, abs=6)


def test_a_point_begins_a_run_too(client: Client) -> None:
    reply = ask(client, 0, "point=50,50")
    assert reply.status == 200, reply.body
    assert reply.json()["tracks"][0]["box_xyxy"][0] == pytest.approx(40, abs=8)


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ("", 422, "What shall be followed?"),
        (f"box={BOX}&run=x", 422, "What shall be followed?"),
        ("box=1,2,3", 422, "'1,2,3' is not 4 numbers"),
        ("point=a,b", 422, "'a,b' is not 2 numbers"),
        ("box=nan,1,2,3", 422, "four finite numbers"),
        ("box=900,900,20,20", 422, "outside the picture"),
        ("run=nobody", 404, "There is no such run"),
    ],
)
def test_what_cannot_be_followed_is_told(here: Here, client: Client, query: str, status: int, sentence: str) -> None:
    reply = ask(client, 0, query)
    assert (reply.status, sentence in reply.json()["message"]) == (status, True), reply.body


def begun(client: Client) -> str:
    run: str = ask(client, 0, f"box={BOX}").json()["run"]
    return run


@pytest.fixture
def four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """Serve a tracker that has four runs."""
    monkeypatch.setattr(following, "MOST_RUNS", 4)
    blob_onnx.write(tmp_path / "blob")
    here = served_here.start_folder(tmp_path)
    yield here
    assert here.close()


def test_runs_are_bounded_and_silent_ones_are_forgotten(four: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    client = four.client()
    document = client.ask("/openapi.json").json()
    assert "at most 4 runs at a time" in document["paths"]["/v1/blob"]["post"]["description"]
    runs = [begun(client) for _ in range(4)]
    full = ask(client, 0, f"box={BOX}")
    assert misfits(document, "/v1/blob", "post", full) == []
    assert (full.status, 1 <= int(full.headers["retry-after"]) <= 60) == (503, True)
    assert "All runs of 'blob' are taken" in full.json()["message"]
    assert ask(client, 0, "box=900,1,2,2").status == 503
    assert ask(client, 1, f"run={runs[0]}").status == 200
    monkeypatch.setattr(following, "FORGET_S", 0.0)
    assert ask(client, 1, f"run={runs[0]}").status == 404
    assert ask(client, 0, f"box={BOX}").status == 200


def test_a_client_that_has_all_runs_gives_half_of_them_to_another(four: Here) -> None:
    """Those go to which nothing was sent for longest; who has no more than its share keeps it."""
    greedy, modest = four.client(own="127.0.0.2"), four.client()
    theirs = [begun(greedy) for _ in range(4)]
    assert ask(greedy, 1, f"run={theirs[0]}").status == 200
    for query in ("box=900,900,20,20", "box=1,2,3", "run=nobody"):  # what begins nothing costs nobody anything
        assert ask(modest, 0, query).status in (404, 422)
    assert [ask(greedy, 2, f"run={run}").status for run in theirs] == [200] * 4
    ours = [begun(modest) for _ in range(2)]
    assert ask(modest, 0, f"box={BOX}").status == 503
    assert [ask(greedy, 2, f"run={run}").status for run in theirs] == [404, 404, 200, 200]
    gone = ask(greedy, 2, f"run={theirs[0]}").json()["message"]
    assert "to make room for a client that has fewer" in gone
    for _ in range(3):
        assert ask(greedy, 0, f"box={BOX}").status == 503
    for index in (1, 2, 3):
        for run in ours:
            (track,) = ask(modest, index, f"run={run}").json()["tracks"]
            assert track["box_xyxy"][0] == pytest.approx(40 + 2 * index, abs=6)
