"""Break inputs on purpose: what was done, what is typed, and what the answer must say. Run it to see the table.

python tests/support/faults.py
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blob_onnx
import numpy as np
import onnx_files
import red_box
import tiny_bundles
from PIL import Image

from edgevit.cli import main


@dataclass(frozen=True)
class Fault:
    """Hold one broken input. ``make`` prepares it in a folder and returns what is typed."""

    name: str
    make: Callable[[Path], list[str]]
    sentence: str
    """A regular expression for the answer."""
    exit_code: int = 2


def bundle(folder: Path, **options: object) -> Path:
    """Write a sound bundle to break."""
    content = onnx_files.mean_classifier(folder / "source.onnx", **options).read_bytes()  # type: ignore[arg-type]
    return tiny_bundles.write(folder / "bundle", content=content).path


def picture(folder: Path) -> str:
    """Write a sound picture."""
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "sound.png")
    return str(folder / "sound.png")


def _truncated(folder: Path) -> list[str]:
    path = bundle(folder)
    (path / "model.onnx").write_bytes((path / "model.onnx").read_bytes()[:50])
    return ["predict", str(path), picture(folder)]


def _changed(folder: Path) -> list[str]:
    path = bundle(folder)
    content = (path / "model.onnx").read_bytes()
    (path / "model.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return ["verify", str(path)]


def _edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        path = bundle(folder) / "manifest.json"
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))
        return ["info", str(path.parent)]

    return make


def _zipped(name: str, content: bytes) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        source = bundle(folder)
        with zipfile.ZipFile(folder / "b.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
            for file in source.iterdir():
                zipped.write(file, file.name)
            zipped.writestr(name, content)
        return ["predict", str(folder / "b.zip"), picture(folder)]

    return make


def _not_json(folder: Path) -> list[str]:
    path = bundle(folder)
    (path / "manifest.json").write_text("{'schema': 1}")
    return ["info", str(path)]


def _cut_picture(folder: Path) -> list[str]:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:900])
    return ["predict", str(bundle(folder)), str(folder / "cut.jpg")]


def _text_as_video(folder: Path) -> list[str]:
    (folder / "clip.mp4").write_text("this is no video")
    return ["predict", str(bundle(folder)), str(folder / "clip.mp4")]


def _pickled(folder: Path) -> list[str]:
    import torch

    torch.save({"model": Fault("x", _pickled, "")}, folder / "evil.pth")
    return ["export", "shvit_s1", "--format", "onnx", "--weights", str(folder / "evil.pth"), "--out", str(folder / "o")]


def _labels(folder: Path) -> list[str]:
    (folder / "labels.txt").write_text("cat\ndog\n")
    words = ["export", "shvit_s1", "--format", "onnx", "--weights", "random", "--num-classes", "7"]
    return [*words, "--labels", str(folder / "labels.txt"), "--out", str(folder / "o")]


def _track(*typed: str, first: bytes | None = None) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        frames = red_box.folder(folder / "frames", [red_box.picture(n) for n in range(3)])
        if first is not None:
            (frames / "000.png").write_bytes(first)
        return ["track", str(frames), "--bundle", str(blob_onnx.write(folder / "tracker").path), *typed]

    return make


FAULTS: tuple[Fault, ...] = (
    Fault("a model file that was cut", _truncated, r"'model.onnx' has 50 bytes and was sealed with \d+"),
    Fault("a model file with one bit changed", _changed, r"not the file that was sealed"),
    Fault(
        "a manifest of another schema", _edited(lambda d: d.update(schema=2)), r"schema 2; this edgevit reads schema 1"
    ),
    Fault("a manifest that is not JSON", _not_json, r"the manifest is not JSON"),
    Fault(
        "a manifest that names a missing file",
        _edited(lambda d: d["files"].update(x={"sha256": "0" * 64, "bytes": 1})),
        r"names 'x', which is missing",
    ),
    Fault("a zip with a path that leads out", _zipped("../evil", b"x"), r"leads out of the bundle"),
    Fault("a zip bomb", _zipped("zeros", bytes(64 << 20)), r"refused as a zip bomb"),
    Fault("a picture that was cut", _cut_picture, r"cut.jpg"),
    Fault("a text file named .mp4", _text_as_video, r"clip.mp4"),
    Fault(
        "a picture that is not there",
        lambda f: ["predict", str(bundle(f)), picture(f).replace("sound", "sund")],
        r"sound.png",
    ),
    Fault(
        "a model that answers NaN",
        lambda f: ["predict", str(bundle(f, scale=float("nan"))), picture(f)],
        r"NaN or infinity",
        1,
    ),
    Fault("a target outside the picture", _track("--box", "400,10,20,20"), r"outside the picture of 160 x 120"),
    Fault("a target without an area", _track("--box", "10,10,0,20"), r"holds nothing to follow"),
    Fault("a target that is no number", _track("--box", "nan,10,20,20"), r"four finite numbers"),
    Fault("no target at all", _track(), r"Type: --box x,y,width,height or --point x,y"),
    Fault(
        "a first frame that cannot be read",
        _track("--box", red_box.FIRST, first=b"no picture"),
        r"000.png is not a picture",
    ),
    Fault("a misspelled model", lambda f: ["export", "levit_128z", "--format", "onnx"], r"Did you mean levit_128"),
    Fault("a misspelled device", lambda f: ["export", "shvit_s1", "--device", "pixel-88"], r"pixel-8"),
    Fault("a misspelled verb", lambda f: ["exprot", "shvit_s1"], r"export"),
    Fault(
        "a precision nobody has", lambda f: ["export", "shvit_s1", "--format", "onnx", "--precision", "int4"], r"int4"
    ),
    Fault(
        "two precisions at once",
        lambda f: ["export", "shvit_s1", "--format", "onnx", "--half", "--int8"],
        r"contradict",
    ),
    Fault(
        "a dynamic batch where there is none",
        lambda f: ["export", "shvit_s1", "--format", "litert", "--dynamic"],
        r"no dynamic batch",
    ),
    Fault("labels that are not as many as the classes", _labels, r"2 labels for 7 classes"),
    Fault("a checkpoint that holds code", _pickled, r"[Nn]othing is ever unpickled"),
    Fault(
        "an address without its hash",
        lambda f: ["export", "shvit_s1", "--format", "onnx", "--weights", "https://example.org/w.pth"],
        r"#sha256=",
    ),
)


def answer(fault: Fault, folder: Path) -> tuple[int, str]:
    """Type what the fault says, and return the exit code and what was said on stderr."""
    words = fault.make(folder)
    said = io.StringIO()
    before = Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            code = main(words)
    finally:
        os.chdir(before)
    return code, said.getvalue().strip()


def _table() -> None:
    print("| what is wrong | the answer | exit |\n|---|---|---|")
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as name:
            code, said = answer(fault, Path(name))
            print(f"| {fault.name} | {said.splitlines()[-1].replace(name + '/', '')} | {code} |")


if __name__ == "__main__":
    _table()
