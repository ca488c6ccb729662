"""The most common export of all: somebody's own classes on a timm backbone, with a labels file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import edgevit
from edgevit.cli import main
from edgevit.kernels import prepare
from edgevit.models import ModelDef
from edgevit.pictures import write_picture
from edgevit.runtime import Classification
from edgevit.scenes import shapes

CLASSES = shapes.LABELS[:7]
EACH = 6


def pictures() -> list[tuple[np.ndarray, int]]:
    """Return some pictures of each of seven classes."""
    indices = [10 * n + label for n in range(EACH) for label in range(len(CLASSES))]
    return [shapes.render(index, seed=shapes.TRAIN_SEED, size=224) for index in indices]


def fine_tuned(seen: list[tuple[np.ndarray, int]]) -> ModelDef:
    """Teach a new head of seven classes on a frozen SHViT-S1 backbone."""
    model = edgevit.create_model("shvit_s1", "random", num_classes=len(CLASSES))
    net: Any = model.module
    batch = torch.from_numpy(np.concatenate([prepare(p, model.spec.image, color="rgb") for p, _ in seen]))
    truth = torch.tensor([label for _, label in seen])
    with torch.no_grad():
        parts = [net.forward_features(part) for part in torch.split(batch, 7)]
        features = torch.cat([net.forward_head(part, pre_logits=True) for part in parts])
    head = net.head
    head.eval()  # its BatchNorm keeps the statistics of the backbone
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(300):
        loss = F.cross_entropy(head(features), truth)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return model


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fine_tuned_shvit_is_exported_proven_and_names_its_own_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(2)
    monkeypatch.chdir(tmp_path)
    seen = pictures()
    torch.save({"state_dict": fine_tuned(seen).module.state_dict(), "epoch": 20}, "best.pth")
    Path("labels.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")
    for number, (picture, label) in enumerate(seen):
        Path("mine", CLASSES[label]).mkdir(parents=True, exist_ok=True)
        write_picture(Path(f"mine/{CLASSES[label]}/{number}.png"), picture)
    words = ["export", "shvit_s1", "--weights", "best.pth", "--num-classes", "7", "--labels", "labels.txt"]
    assert main([*words, "--format", "onnx", "--images", "mine", "--out", "bundle"]) == 0, capsys.readouterr().err
    bundle = edgevit.open_bundle("bundle")
    assert bundle.manifest.trained
    assert bundle.manifest.spec.labels == CLASSES
    right = 0
    with edgevit.load(bundle) as session:
        for picture, label in seen:
            result = session(picture, color="rgb")
            assert isinstance(result, Classification)
            right += result.name(result.top1) == CLASSES[label]
    assert right >= 0.9 * len(seen)
    assert main(["val", "bundle", "mine", "--json"]) == 0
