"""Run a page on a real port over cameras that are not there, and speak with it as a viewer does."""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paced import Told

from edgevit.apps.viewer.message import Picture, unpack
from edgevit.apps.viewer.page import Page
from edgevit.apps.viewer.serving import Serving
from edgevit.runtime.frame import Frame
from edgevit.runtime.pipeline import Pipeline

WAIT_S = 60.0
SMALL = np.zeros((12, 16, 3), np.uint8)


class Camera:
    """Yield frames until it is closed, and remember which of them somebody still holds."""

    live, total, name = True, None, "camera"
    faults: tuple[str, ...] = ()

    def __init__(self, pixels: Any = SMALL, count: int = 10**9, every_s: float = 0.003) -> None:
        self.alive: weakref.WeakSet[Frame] = weakref.WeakSet()
        self._pixels, self._count, self._every_s = pixels, count, every_s
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._count):
            if self._closed.wait(self._every_s):
                return
            frame = Frame(self._pixels, "rgb", time.monotonic_ns(), index, self.name)
            self.alive.add(frame)
            yield frame

    def close(self) -> None:
        self._closed.set()


class Shown:
    """Hold a run whose page is on a port."""

    def __init__(self, tmp_path: Path, cameras: list[Camera], **choices: Any) -> None:
        self.cameras = cameras
        serving = {key: choices.pop(key) for key in ("token", "hosts") if key in choices}
        plan, model = choices.pop("plan", None), choices.get("steered", Told)
        names = [f"{camera.name} {number}" for number, camera in enumerate(cameras)]
        self.page = Page(names, title="null", task="track", record_dir=tmp_path, **choices)
        self.pipeline = Pipeline(model, cameras, self.page.sinks, plan=plan)
        self.said: list[str] = []
        self._serving = Serving("0", say=lambda words: self.said.append(words), **serving)
        self.port = self._serving.address.port
        self._thread = threading.Thread(target=self.pipeline.run)

    @contextmanager
    def running(self) -> Iterator[Shown]:
        with self._serving.shows(self.page, self.pipeline):
            self._thread.start()
            try:
                yield self
            finally:
                self.pipeline.stop("the test is over")
                self._thread.join(WAIT_S)

    def connect(self, **more: Any) -> Any:
        client = pytest.importorskip("websockets.sync.client")
        return client.connect(f"ws://127.0.0.1:{self.port}/live", open_timeout=WAIT_S, proxy=None, **more)

    def get(self, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}


def until(true: Callable[[], object], wait_s: float = WAIT_S) -> None:
    ends_s = time.monotonic() + wait_s
    while not true():
        assert time.monotonic() < ends_s
        time.sleep(0.01)


def hear(viewer: Any, kind: str) -> dict[str, Any]:
    """Return the next text of a kind."""
    while True:
        told = viewer.recv(timeout=WAIT_S)
        if isinstance(told, str) and json.loads(told)["type"] == kind:
            data: dict[str, Any] = json.loads(told)
            return data


def see(viewer: Any) -> Picture:
    """Return the next picture, and say nothing of it."""
    while True:
        told = viewer.recv(timeout=WAIT_S)
        if isinstance(told, bytes):
            return unpack(told)


def say(viewer: Any, **words: Any) -> None:
    viewer.send(json.dumps(words))


def order(viewer: Any, **words: Any) -> dict[str, Any]:
    say(viewer, ask=3, **words)
    return hear(viewer, "reply")
