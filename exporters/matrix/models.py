"""Name the models of the matrix: the house's families whole, and further edge-class nets of timm. Data only.

All have fewer than 30 million parameters; that leaves out levit_384 and levit_conv_384 (39 million).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgevit.registry import MODEL_FAMILIES

_MILLIONS: Mapping[str, tuple[float | None, ...]] = {
    "shapes": (0.4,),
    "mobilevit": (1.3, 2.3, 5.6),
    "mobilevitv2": (1.4, 2.9, 4.9, 7.5, 10.6, 14.2, 18.4),
    "efficientvit": (2.3, 3.0, 4.2, 6.9, 8.8, 12.5),
    "shvit": (6.3, 11.5, 14.3, 16.6),
    "levit": (7.8, 9.2, 10.9, 18.9, None),
    "levit_conv": (7.8, 9.2, 10.9, 18.9, None),
    "efficientformerv2": (3.6, 6.2, 12.7, 26.3),
}
"""Parameters of each size of a family, in the order of its names; None is left out."""

_FURTHER: Mapping[str, float] = {
    "edgenext_xx_small": 1.3,
    "mobilenetv3_small_100": 2.5,
    "starnet_s1": 2.9,
    "xcit_nano_12_p16_224": 3.0,
    "efficientvit_b0": 3.4,
    "swiftformer_xs": 3.5,
    "mobilenetv2_100": 3.5,
    "convnext_atto": 3.7,
    "mobilenetv4_conv_small": 3.8,
    "fasternet_t0": 3.9,
    "fastvit_t8": 4.0,
    "regnety_004": 4.3,
    "efficientnet_lite0": 4.7,
    "pit_ti_224": 4.8,
    "ghostnet_100": 5.2,
    "efficientnet_b0": 5.3,
    "mobileone_s0": 5.3,
    "repvit_m0_9": 5.5,
    "deit_tiny_patch16_224": 5.7,
    "ghostnetv2_100": 6.2,
    "coatnet_pico_rw_224": 10.9,
    "poolformer_s12": 11.9,
    "tiny_vit_5m_224": 12.1,
    "twins_svt_small": 24.1,
}


@dataclass(frozen=True)
class Entry:
    """Stand for one model. ``rank`` is its place by size in its family; the smallest are proven in int8 too."""

    name: str
    family: str
    millions: float
    rank: int
    int8: bool = False


def entries() -> tuple[Entry, ...]:
    """Return all models in the order of their proof: the smallest of every family first, then the next ones."""
    found = [
        Entry(name, family, millions, rank, int8=rank == 0)
        for family, names in MODEL_FAMILIES.items()
        for rank, (name, millions) in enumerate(zip(names, _MILLIONS[family], strict=True))
        if millions is not None
    ]
    found += [Entry(f"timm/{name}", name, millions, 0) for name, millions in _FURTHER.items()]
    return tuple(sorted(found, key=lambda e: (e.rank, e.family != "shapes", e.millions)))
