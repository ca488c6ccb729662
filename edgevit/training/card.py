"""Write trained weights and the card that says what they are; figures are of the rounded weights that were written."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from .augment import normalise

Triple = tuple[float, float, float]


def write_weights(net: nn.Module, path: Path) -> tuple[str, int]:
    """Write the net's state in fp16, without the counters that only training needs; return sha256 and size."""
    state = {
        name: tensor.detach().cpu().half().contiguous()
        for name, tensor in net.state_dict().items()
        if tensor.is_floating_point()
    }
    broken = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise ValueError(f"These weights are not finite in fp16: {', '.join(broken)}. The training has failed.")
    data = save(state)
    _write(path, data)
    return hashlib.sha256(data).hexdigest(), len(data)


def predict(net: nn.Module, pictures: Tensor, mean: Triple, std: Triple, batch: int = 250) -> Tensor:
    """Return the label the net gives to each of (N, 3, H, W) grey levels."""
    device = next(net.parameters()).device
    net.eval()
    with torch.inference_mode():
        parts = [
            net(normalise(pictures[start : start + batch].to(device), mean, std)).argmax(1).cpu()
            for start in range(0, len(pictures), batch)
        ]
    return torch.cat(parts)


def accuracy_table(answers: Tensor, labels: Tensor, names: tuple[str, ...], counts: tuple[int, ...]) -> dict[str, Any]:
    """Return the share of right answers over the first ``counts`` pictures, each class's, and the worst mistakes."""
    right = answers == labels
    table: dict[str, Any] = {f"test_{count}": _share(right[:count]) for count in counts}
    table["per_class"] = {name: _share(right[labels == number]) for number, name in enumerate(names)}
    wrong = labels[~right] * len(names) + answers[~right]
    tally = torch.bincount(wrong, minlength=len(names) ** 2)
    table["commonest_mistakes"] = [
        {"is": names[pair // len(names)], "taken_for": names[pair % len(names)], "times": int(tally[pair])}
        for pair in tally.argsort(descending=True, stable=True)[:5].tolist()
        if tally[pair] > 0
    ]
    return table


def machine_kind(device: str) -> dict[str, Any]:
    """Say what kind of machine this is, without naming it."""
    kind: dict[str, Any] = {"isa": platform.machine(), "cores": os.cpu_count(), "device": device.split(":")[0]}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        models = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.startswith("model name")
        ]
        kind["cpu"] = models[0] if models else "unknown"
    if device.startswith("cuda"):
        kind["gpu"] = torch.cuda.get_device_name(device)
    return kind


def write_card(path: Path, card: Mapping[str, Any]) -> None:
    """Write the card as JSON, to be read by people too."""
    _write(path, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())


def _share(right: Tensor) -> float:
    return round(float(right.float().mean()), 5)


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)
