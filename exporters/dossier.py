"""Fill in what the manifest of every bundle says, whatever its task: where it is from, and where its operators run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgevit.errors import EdgevitError, reason
from edgevit.manifest import GraphFile
from edgevit.progress import step
from edgevit.provenance import Provenance

from . import placement
from .plan import Plan
from .recipe import Converted


def placed(
    plan: Plan, folder: Path, made: Mapping[str, Converted], graphs: Mapping[str, GraphFile], notes: Mapping[str, Any]
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Look where the operators run. A file is proven without that, so what prevents the look is noted."""
    files = {name: (folder / converted.file, graphs[name]) for name, converted in made.items()}
    target = plan.target
    with step(plan.progress, "look where operators run"):
        try:
            found = placement.place_files(
                target.format.name, target.precision, files, device=target.device, notes=notes
            )
        except Exception as fault:  # whatever it is, the file is proven all the same
            told = str(fault) if isinstance(fault, EdgevitError) else f"{type(fault).__name__}: {reason(fault)}"
            return {}, (f"where the operators run could not be told: {told}",)
    return placement.summary(found), ()


def provenance(plan: Plan, converted: Converted, calibration: Mapping[str, Any] | None) -> Provenance:
    """Say where the bundle is from."""
    return Provenance(
        weights=plan.model.weights,
        code_licence=plan.model.code_licence,
        tools=converted.tools,
        command=plan.command,
        given=plan.given,
        calibration=calibration,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def engine_of(plan: Plan, converted: Converted) -> dict[str, str]:
    """Say which engine runs the files, and the oldest that does."""
    own = plan.target.format
    return {"name": own.engine_package, "minimum": converted.engine_minimum or own.engine_minimum}


def preference(plan: Plan) -> str | None:
    """Say so where the device prefers another format."""
    device, own = plan.target.device, plan.target.format.name
    if device is None or device.prefer.formats[0] == own:
        return None
    return f"{device.name} prefers {device.prefer.formats[0]}; this is {own}"


def computes_in_half(plan: Plan) -> bool:
    """Tell whether a device computes the files in fp16: fp16 files, and all of Core ML's but fp32."""
    in_half = plan.target.precision == "fp16" or plan.target.format.name == "coreml"
    return in_half and plan.target.precision != "fp32"
