"""Say the contract in words that other tools read: what goes into a format's own metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping

from edgevit.models import ModelDef


def native_metadata(model: ModelDef) -> Mapping[str, str]:
    """Return name -> text: labels, normalisation, what comes out, licences. Numbers in 0..1; lists as JSON.

    ``layout`` is the model's own; a format that turns the axes around says so where it writes.
    """
    image = model.spec.image
    return {
        "model": model.name,
        "task": model.spec.task,
        "labels": json.dumps(list(model.spec.labels), ensure_ascii=False),
        "color": image.color,
        "mean": json.dumps(image.mean),
        "std": json.dumps(image.std),
        "size_hw": json.dumps(image.size_hw),
        "resize_hw": json.dumps(image.resize_hw),
        "fit": image.fit,
        "interpolation": image.interpolation,
        "antialias": json.dumps(image.antialias),
        "layout": image.layout,
        "values": image.values,
        "output": model.spec.output,
        "weights": "trained" if model.weights.trained else "UNTRAINED",
        "weights_licence": model.weights.licence,
        "code_licence": model.code_licence,
    }
