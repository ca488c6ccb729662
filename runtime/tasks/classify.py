"""Turn a classifier's logits into probabilities and names."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgevit.errors import BadOutputError
from edgevit.kernels import PREPROCESS
from edgevit.manifest import Manifest

from ..frame import Frame
from ..results import Classification, Scores, Speed

OPERATIONS = {"preprocess": PREPROCESS, "postprocess": ("softmax/1",)}
"""``softmax/1`` leaves outputs that are probabilities already as they are."""


def decode(output: npt.NDArray[np.float32], manifest: Manifest) -> Scores:
    """Return one probability a class."""
    spec = manifest.spec
    if spec.labels and output.shape != (len(spec.labels),):
        raise BadOutputError(
            f"The model gave {output.shape} scores for {len(spec.labels)} labels; the bundle is not coherent."
        )
    return softmax(output) if spec.output == "logits" else output.astype(np.float32)


def result(scores: Scores, frame: Frame, speed: Speed, manifest: Manifest) -> Classification:
    """Put the answer of one frame together."""
    spec = manifest.spec
    return Classification(scores, spec.labels, frame, speed, trained=manifest.trained, topk=spec.topk)


def softmax(logits: npt.NDArray[np.float32]) -> Scores:
    """Return probabilities; the largest logit is taken off first, so nothing overflows."""
    raised = np.exp(logits.astype(np.float64) - logits.max())
    scores: Scores = (raised / raised.sum()).astype(np.float32)
    return scores
