"""Run the front of ``edgevit serve`` on a port of this machine, over bundles of a few bytes or sessions that wait."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_files
import tiny_bundles
from onnx import helper
from PIL import Image
from web_asking import Client

from edgevit.apps.serve.application import Front, application
from edgevit.apps.serve.shelf import Served, Shelf, open_shelf
from edgevit.apps.web.address import Address
from edgevit.apps.web.guard import Guard, Rules
from edgevit.apps.web.running import Listening, Running
from edgevit.runtime import Classification, Frame, Speed

LABELS = tiny_bundles.LABELS


def picture(kind: str = "JPEG", *, grey: int = 200, size_wh: tuple[int, int] = (32, 24)) -> bytes:
    """Return a picture's file of one grey level."""
    held = io.BytesIO()
    Image.new("RGB", size_wh, (grey, grey, grey)).save(held, kind)
    return held.getvalue()


def folder(place: Path) -> Path:
    """Make a folder: a good bundle, an untrained one, one that answers NaN for black, and three that are no good."""
    good = onnx_files.mean_classifier(place / "good.onnx", scale=4).read_bytes()
    (place / "all").mkdir()
    tiny_bundles.write(place / "all" / "good", content=good)
    tiny_bundles.write(place / "all" / "raw", content=good, trained=False)
    tiny_bundles.write(place / "all" / "picky", content=_logarithm(place / "log.onnx").read_bytes())
    tiny_bundles.write(place / "all" / "broken", content=b"no model at all")
    torn = tiny_bundles.write(place / "all" / "torn", content=good)
    (torn.path / "model.onnx").write_bytes(good[:40])
    (place / "all" / "empty.zip").write_bytes(b"")
    return place / "all"


def _logarithm(path: Path) -> Path:
    """Write a net that answers with the logarithm of each colour's mean: NaN for what is darker than the mean."""
    nodes: list[onnx.NodeProto] = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Log", ["flat"], ["logits"]),
    ]
    return onnx_files.save(path, nodes, [])


class Waiting:
    """Be a session that answers when it is let, and says when it began."""

    engine_description = "an engine that waits"

    def __init__(self) -> None:
        self.began, self.let = threading.Semaphore(0), threading.Semaphore(0)
        self.closed = False

    def __call__(self, frame: Frame) -> Classification:
        self.began.release()
        assert self.let.acquire(timeout=60)
        return Classification(np.array([0.5, 0.3, 0.2], np.float32), LABELS, frame, Speed(1, 2, 3))

    def close(self) -> None:
        self.closed = True


@dataclass
class Here:
    """Hold a running front."""

    front: Front
    running: Running
    notes: list[str]
    token: str | None
    _clients: list[Client] = field(default_factory=list)

    def client(self, *, own: str | None = None, **headers: str) -> Client:
        """Return a new connection that shows the token; ``own`` is another of this machine's addresses."""
        shown = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        self._clients.append(Client(self.running.url, {**shown, **headers}, own=own))
        return self._clients[-1]

    def close(self) -> bool:
        """End it in order."""
        for client in self._clients:
            client.close()
        ended = self.running.stop()
        self.front.shelf.close()
        return ended


def start(shelf: Shelf, *, token: str | None = None, timeout_s: float = 30.0, **rules: Any) -> Here:
    """Serve a shelf."""
    notes: list[str] = []
    listening = Listening(Address())
    made = Rules(listening.address, token, **{"rate_per_s": 1e6, "burst": 10**6, **rules})
    front = Front(shelf, timeout_s, made.most_body_bytes, token is not None, notes.append)
    running = Running(Guard(application(front), made, note=notes.append), listening).start()
    return Here(front, running, notes, token)


def start_folder(place: Path, **options: Any) -> Here:
    """Serve a folder."""
    return start(open_shelf(place, depth=16, threads=1), **options)


def start_waiting(place: Path, *, depth: int, **options: Any) -> tuple[Here, Waiting]:
    """Serve one session that waits."""
    session = Waiting()
    bundle = tiny_bundles.write(place / "slow")
    return start(Shelf({"slow": Served("slow", bundle, session, depth)}, {}), **options), session
