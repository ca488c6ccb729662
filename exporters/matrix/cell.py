"""Prove one cell by a real export, and put whatever comes of it into words: a verdict, an operator, a reason."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevit.bundle import Bundle
from edgevit.errors import ConversionError, EdgevitError, EnvironmentFault, RefusedError, UnsupportedError
from edgevit.models import ModelDef
from edgevit.progress import Progress, silent
from edgevit.proven import Cell

from .. import base, placement, verify
from ..agreement import plain
from ..reference import Reference
from .plan import Key
from .reasons import blamed_op, failing_op, sentence
from .speed import CLOCK, latencies_ms

PICTURES = 16
"""Enough for a median of untrained weights; trained ones are proven on as many as any export."""

_DEVICES = {"litert": "pixel-8"}
"""Whose units a file is placed on too: a phone's GPU takes what XNNPACK takes, or not."""

Pixels = npt.NDArray[np.uint8]
Tensor = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Remembering(Reference):
    """Answer as the model does, and ask it only once for the same pictures."""

    kept: dict[tuple[str, bytes], Any] = field(default_factory=dict)

    def answers(self, pixels: Pixels, progress: Progress | None = None) -> Tensor:
        key = ("answers", _digest(pixels))
        if key not in self.kept:
            self.kept[key] = super().answers(pixels, progress)
        answers: Tensor = self.kept[key]
        return answers

    def noise_relative(self, pixels: Pixels) -> float:
        key = ("noise", _digest(pixels))
        if key not in self.kept:
            self.kept[key] = super().noise_relative(pixels)
        return float(self.kept[key])


def _digest(pixels: Pixels) -> bytes:
    return hashlib.sha256(pixels.tobytes()).digest()


def remembering(model: ModelDef) -> Remembering:
    """Return a reference that already knows the answers to the pictures of the proof."""
    reference = Remembering(model)
    shown = verify.choose_pictures(model.spec, None, trained=model.weights.trained, most=_most(model))
    pixels = np.stack(list(shown.pixels(model.spec.image)))
    reference.answers(pixels)
    reference.noise_relative(pixels)
    return reference


def _most(model: ModelDef) -> int | None:
    return None if model.weights.trained else PICTURES


def prove_cell(reference: Reference, format_name: str, precision: str, progress: Progress = silent) -> Cell:
    """Export the model and return its cell. Faults become verdicts; only what ends the process leaves this."""
    model = reference.model
    began = time.perf_counter()
    told: dict[str, Any] = {"trained": model.weights.trained}
    with tempfile.TemporaryDirectory(prefix="edgevit-matrix-") as folder:
        out = Path(folder, "bundle")
        try:
            bundle = base.export(
                model,
                format=format_name,
                precision=precision,
                out=out,
                most=_most(model),
                reference=reference,
                progress=progress,
            )
            told |= _measured(bundle, model)
        except RefusedError:
            told |= _refused(out.with_name(f"{out.name}.refused") / "report.json")
        except Exception as fault:
            told |= verdict_of(fault)
    seconds = round(time.perf_counter() - began, 1)
    return Cell(model.name, format_name, precision, **told, seconds=seconds)


def verdict_of(fault: Exception) -> dict[str, Any]:
    """Return verdict, operator and reason of an export that raised."""
    if isinstance(fault, (EnvironmentFault, ModuleNotFoundError)):
        verdict = "not run"
    elif isinstance(fault, (ConversionError, UnsupportedError)):
        verdict = "unsupported"
    else:
        verdict = "failed"
    text = _in_words(fault)
    return {"verdict": verdict, "op": failing_op(text), "reason": sentence(text)}


def _in_words(fault: Exception) -> str:
    return str(fault) if isinstance(fault, EdgevitError) else f"{type(fault).__name__}: {fault}"


def _measured(bundle: Bundle, model: ModelDef) -> dict[str, Any]:
    """Return what a sealed bundle tells, what it takes, and where its operators run."""
    manifest = bundle.manifest
    graph = manifest.graphs["main"]
    gated = any(gate["counted"] for gate in manifest.verification["gates"] if gate["name"] in ("relative", "top1"))
    told = {
        "verdict": "proven" if gated else "runs",
        "proof": graph.proof,
        "stand_in": f"{graph.stand_in.proof} by {graph.stand_in.engine}" if graph.stand_in else None,
        "size_bytes": bundle.size_bytes,
        **_figures(manifest.verification["figures"], trained=manifest.trained),
    }
    notes = []
    for measure, aim in ((_latencies, "it could not be timed"), (_placed, "its placement is not known")):
        try:
            told |= measure(bundle, model)
        except Exception as fault:  # whatever it is, the file is proven all the same
            notes.append(sentence(f"{aim}: {_in_words(fault)}"))
    return told | ({"reason": "; ".join(notes)} if notes else {})


def _figures(figures: Mapping[str, Any], *, trained: bool) -> dict[str, Any]:
    told = {"relative": figures.get("relative_median")}
    return told | {"top1": figures.get("top1"), "accuracy": figures.get("accuracy_file")} if trained else told


def _latencies(bundle: Bundle, model: ModelDef) -> dict[str, Any]:
    found = latencies_ms(bundle, model)
    return {"latency_ms": _short(found[0]), "torch_ms": _short(found[1]), "clock": CLOCK} if found else {}


def _short(value: float) -> float | None:
    return plain(float(f"{value:.3g}"))


def _placed(bundle: Bundle, model: ModelDef) -> dict[str, Any]:
    """Count operators by where they run."""
    views = placement.summary(placement.place(bundle, device=_DEVICES.get(bundle.manifest.format)))["views"]
    return {"placement": tuple(_brief(view) for view in views)}


def _brief(view: Mapping[str, Any]) -> dict[str, Any]:
    fallbacks: dict[str, int] = {}
    for op in view["fallbacks"]:
        fallbacks[op["op"]] = fallbacks.get(op["op"], 0) + op["count"]
    told = {"unit": view["unit"], "basis": view["basis"], "decides": view["decides"], "places": view["places"]}
    return told | ({"fallbacks": fallbacks} if fallbacks else {})


def _refused(report: Path) -> dict[str, Any]:
    """Read why an export was refused, and its figures."""
    told = json.loads(report.read_text(encoding="utf-8"))
    figures = told["figures"]
    failed = [gate for gate in told["gates"] if gate["counted"] and not gate["passed"]]
    reasons = [f"{gate['name']} {_value(gate['value'])}, limit {gate['limit']:.3g}" for gate in failed]
    # Where a gate points at a layer, the report's notes begin with it.
    blamed = [(note, op) for note in told.get("notes", ()) if (op := blamed_op(note))]
    return {
        "verdict": "refused",
        "op": blamed[0][1] if blamed else None,
        "relative": figures.get("relative_median"),
        "top1": figures.get("top1") if told.get("trained") else None,
        "reason": sentence("; ".join([*reasons, *(note for note, _ in blamed)])),
    }


def _value(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


def died(key: Key, verdict: str, reason: str, step: str | None) -> Cell:
    """Return the cell of a process that did not come back."""
    during = f", during '{step}'" if step else ""
    return Cell(*key, verdict=verdict, op=failing_op(reason), reason=sentence(f"{reason}{during}"))
