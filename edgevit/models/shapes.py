"""Define ``shvit_shapes``: a small SHViT that names the ten objects of ``edgevit.scenes.shapes``.

It is timm's own SHViT class with small numbers, so it is fused, traced and converted along the family's road. One
thing differs: the stem's last convolution keeps the resolution, so that the first stage sees 12 by 12 tokens of 8
pixels instead of 6 by 6 of 16, since a small object is 50 pixels wide. That is a choice, not a finding: in trials of a
few minutes the finer stem learnt more a step and less a minute, and no full training compared the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models.shvit import SHViT
from torch import nn

from edgevit.errors import WeightsError
from edgevit.scenes.shapes import LABELS, SIZE
from edgevit.spec import ImageSpec, Spec

from .blueprint import Blueprint

NAME: Final = "shvit_shapes"
ARCHITECTURE: Final[dict[str, Any]] = {
    "embed_dim": (64, 72, 96),
    "partial_dim": (16, 16, 24),
    "qk_dim": (16, 16, 16),
    "depth": (1, 2, 2),
    "types": ("i", "s", "s"),
}
STEM_STRIDE: Final = 8
_STEM_LAST: Final = "patch_embed.6.c"
IMAGE: Final = ImageSpec(
    size_hw=(SIZE, SIZE),
    resize_hw=(SIZE, SIZE),
    fit="shorter",
    interpolation="bilinear",
    antialias=True,
    color="rgb",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)
SPEC: Final = Spec(task="classify", image=IMAGE, labels=LABELS, topk=3)


def blueprint(name: str, *, num_classes: int | None, size_hw: tuple[int, int] | None) -> Blueprint:
    """Build the net untrained, as every model's module can (``edgevit.models.create``)."""
    classes = num_classes or len(LABELS)
    return Blueprint(
        name=name,
        module=build(classes),
        image=IMAGE.scaled_to(size_hw) if size_hw else IMAGE,
        labels=LABELS if classes == len(LABELS) else tuple(f"class {i}" for i in range(classes)),
        label_ids=(),
        code_licence="Apache-2.0",
        weights_licence="Apache-2.0",
        notes=(),
        hub={},
    )


def build(num_classes: int = len(LABELS)) -> nn.Module:
    """Build the net with fresh weights, in training mode."""
    net: nn.Module = SHViT(num_classes=num_classes, **ARCHITECTURE)
    stem = net.get_submodule(_STEM_LAST)
    assert isinstance(stem, nn.Conv2d)
    stem.stride = (1, 1)
    return net


def load(path: Path) -> nn.Module:
    """Build the net and fill it from a safetensors file; fp16 weights become fp32, and the net is in eval mode."""
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as exc:
        raise WeightsError(f"The weights {path} cannot be read: {exc}. Expected a safetensors file.") from exc
    head = state.get("head.l.bias")
    net = build(len(LABELS) if head is None else int(head.shape[0]))
    try:
        net.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except RuntimeError as exc:
        raise WeightsError(f"The weights {path} are not of {NAME}: {exc}") from exc
    return net.eval()
