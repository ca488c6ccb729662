"""Make Core ML packages: a picture goes in; a class label, its probabilities and the plain scores come out.

The file takes a camera's levels and normalises by itself, so an app hands over its pixel buffer. Torch's exported
program is converted, never a scripted one; fp16 is the precision that every unit of a phone computes in, and 8-bit and
smaller weights are unpacked to it. No Mac is needed: mil.py evaluates the package.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from edgevit.errors import ConversionError, UnsupportedError, missing
from edgevit.progress import step

from .coreml_camera import CAMERA, PROBABILITIES, camera_program, intake_of
from .coreml_compress import NEEDS, compress
from .coreml_ops import more_operators
from .coreml_package import add_labels, describe, renumber, save
from .quiet import converting, quiet, sentence
from .recipe import Converted, Job, Traced
from .versions import versions

FILE = "model.mlpackage"
DEFAULT_TARGET = "iOS17"

_ELSEWHERE = "Try --format onnx or litert"
_ANSWERS = {
    "logits": "the scores before softmax",
    "probabilities": "the probabilities, in the order of the labels",
    "box": "centre x, centre y, width and height, in shares of the picture",
    "top_left": "the probability of the box's first corner, cell by cell",
    "bottom_right": "the probability of the box's last corner, cell by cell",
    "score": "the logit that the target is in the picture",
}
"""What Xcode says of the outputs; others speak for themselves."""
_UNKNOWN = re.compile(r"op(?:erator)? '?([\w.:]+)'? not implemented|Unsupported fx node \S+ kind ([\w.]+)")


def convert(traced: Traced, job: Job) -> Converted:
    """Write ``model.mlpackage``, with labels, licences and normalisation in its own metadata."""
    try:
        with quiet():  # it says on import what it lacks here: everything that is not needed off a Mac
            import coremltools  # noqa: F401
    except ImportError as exc:
        raise missing("coremltools", "Exporting to Core ML", "export") from exc
    if traced.inputs[0].shape[0] != 1:
        raise UnsupportedError(
            "A Core ML image input takes one picture. Leave --batch and --dynamic out; an app gives Core ML many "
            "pictures through predictions(fromBatch:)."
        )
    target = deployment_target(job)
    with step(job.progress, "convert to Core ML", target):
        model = _converted(traced, job, target)
    if job.precision not in ("fp32", "fp16"):
        with (
            step(job.progress, f"convert to {job.precision}"),
            converting(f"coremltools could not make {job.precision} of {job.model}", "Try --precision fp16"),
        ):
            model = compress(model, traced, job)
    with converting(f"The Core ML package of {job.model} cannot be written", _ELSEWHERE):
        spec = model.get_spec()
        _finish(spec, traced, job)
        save(spec, model.weights_dir, job.folder / FILE)
    levels = replace(traced.inputs[0], dtype="uint8")  # what an image is made of; the evaluator widens it
    tools = versions("torch", "timm", "coremltools")
    notes = {"deployment_target": target}
    return Converted(FILE, (levels, *traced.inputs[1:]), traced.outputs, tools, values="levels", notes=notes)


def deployment_target(job: Job) -> str:
    """Return the oldest system that the package is for: the device's, else iOS 17 or what the precision needs."""
    import coremltools as ct

    needed = NEEDS[job.precision]
    asked = job.device.minimum.deployment_target if job.device else None
    if asked is None:
        return max(DEFAULT_TARGET, needed)
    if not hasattr(ct.target, asked):
        known = ", ".join(t.name for t in ct.target if t.name.startswith("iOS"))
        raise UnsupportedError(f"coremltools knows no deployment target '{asked}'; it knows {known}.")
    if _age(asked) < _age(needed):
        fitting = [p for p in ("pal6", "int8", "fp16") if _age(asked) >= _age(NEEDS[p])]
        assert job.device is not None
        raise UnsupportedError(
            f"{job.precision} needs {needed} or its like, and {job.device.name} counts on {asked} only. "
            + (f"Type: --precision {fitting[0]}" if fitting else "Type: --format onnx")
        )
    return asked


def _age(target: str) -> int:
    """Return the version of Core ML that a system has; macOS and iOS of one year have the same."""
    import coremltools as ct

    return int(ct.target[target].value)


def _converted(traced: Traced, job: Job, target: str) -> Any:
    import coremltools as ct

    image = job.spec.image
    intake = intake_of(image, takes_levels=traced.values == "levels")
    layout = ct.colorlayout.RGB if image.color == "rgb" else ct.colorlayout.BGR
    picture = ct.ImageType(traced.inputs[0].name, traced.inputs[0].shape, intake.scale, list(intake.bias), layout)
    others = [ct.TensorType(name=t.name, shape=t.shape, dtype=float) for t in traced.inputs[1:]]
    names = [*(t.name for t in traced.outputs), *([PROBABILITIES] if job.spec.output == "logits" else [])]
    with converting(f"Core ML cannot express {job.model}", _ELSEWHERE), more_operators():
        program = camera_program(traced, job.spec)
        try:
            return ct.convert(
                program,
                convert_to="mlprogram",
                inputs=[picture, *others],
                outputs=[ct.TensorType(name=name, dtype=float) for name in names],
                minimum_deployment_target=ct.target[target],
                compute_precision=ct.precision.FLOAT32 if job.precision == "fp32" else _half(),
                skip_model_load=True,
            )
        except Exception as exc:
            if operator := unknown_operator(exc):
                told = f"coremltools has no form of torch's '{operator}'"
                raise ConversionError(sentence(f"Core ML cannot express {job.model}", told, _ELSEWHERE)) from exc
            raise


def _half() -> Any:
    """Return fp16 for the model, and fp32 for what the camera adds, as coremltools does with the image type's scale.

    Each operation is called what its result is called: fused ones (linear) have numbers for names, and fp16 names
    results by operations, so torch's names would be lost.
    """
    import coremltools as ct

    def chosen(operation: Any) -> bool:
        if len(operation.outputs) == 1:
            operation.name = operation.outputs[0].name
        return not operation.name.startswith(f"{CAMERA}_")

    return ct.transform.FP16ComputePrecision(op_selector=chosen)


def unknown_operator(exc: BaseException) -> str | None:
    """Return the operator that coremltools' error names, if that is what it is about."""
    found = _UNKNOWN.search(str(exc))
    return next((name for name in found.groups() if name), None) if found else None


def _finish(spec: Any, traced: Traced, job: Job) -> None:
    renumber(spec)
    output, told = traced.outputs[0], job.metadata
    if len(job.spec.labels) == output.shape[-1]:
        add_labels(spec, job.spec.labels, PROBABILITIES, keep=output.name == PROBABILITIES)
    height, width = traced.inputs[0].shape[2:]
    picture = f"a picture, {height} x {width} (height x width), {job.spec.image.color.upper()}, levels 0 to 255"
    features = {t.name: _ANSWERS[t.name] for t in traced.outputs if t.name in _ANSWERS}
    kind = f"{job.spec.task}, {traced.name}" if job.spec.track else f"{len(job.spec.labels)} classes"
    words = {
        "author": "edgevit",
        "license": f"weights: {told.get('weights_licence', 'unknown')}; code: {told.get('code_licence', 'unknown')}",
        "shortDescription": f"{job.model}, {kind}, {told.get('weights', 'unknown')} weights",
        "versionString": job.precision,
    }
    describe(spec, {**told, "values": "levels"}, words, {traced.inputs[0].name: picture, **features})
