"""Make OpenVINO IR: converted from the exported program, never through ONNX. int8 by NNCF's post-training calibration.

``compress_to_fp16`` is on by default in OpenVINO's own tools and costs 1e-3 of error; here fp32 is fp32.
"""

from __future__ import annotations

import json
from typing import Any

from edgevit.errors import missing
from edgevit.privacy import forbid_telemetry
from edgevit.progress import step

from .quiet import converting
from .recipe import Converted, Job, Traced
from .room import ask_for_room
from .trackers.exact import of_openvino
from .versions import versions

FILE = "model.xml"
_ELSEWHERE = "Try --format onnx"


def convert(traced: Traced, job: Job) -> Converted:
    """Write ``model.xml`` and ``model.bin``, labels and normalisation in ``rt_info/model_info``."""
    forbid_telemetry()
    try:
        import openvino as ov
    except ImportError as exc:
        raise missing("openvino", "Exporting to OpenVINO", "export") from exc
    with step(job.progress, "convert to OpenVINO"), converting(f"OpenVINO cannot express {job.model}", _ELSEWHERE):
        model = ov.convert_model(traced.program, example_input=traced.example)
        _name(model, traced)
    if job.precision == "int8":
        with (
            step(job.progress, "quantise to int8", "NNCF"),
            converting(f"NNCF could not quantise {job.model}", "Try --precision fp16"),
        ):
            model = _quantise(model, traced, job)
    with converting(f"OpenVINO cannot write {job.model}", _ELSEWHERE):
        _annotate(model, job)
        _save(ov, model, job)
    return Converted(FILE, traced.inputs, traced.outputs, versions("torch", "timm", "openvino", "nncf"))


def _save(ov: Any, model: Any, job: Job) -> None:
    """Write the two files. OpenVINO's writer says "iostream error" whatever the reason, so the disk is asked."""
    try:
        ov.save_model(model, str(job.folder / FILE), compress_to_fp16=job.precision == "fp16")
    except RuntimeError as exc:
        if "iostream" in str(exc):
            ask_for_room(job.folder, sum(n.get_byte_size() for n in model.get_ops() if n.get_type_name() == "Constant"))
        raise


def _name(model: Any, traced: Traced) -> None:
    """Give the tensors the names that the manifest promises, and the shapes."""
    import openvino as ov

    for port, spec in zip(model.inputs, traced.inputs, strict=True):
        port.get_tensor().set_names({spec.name})
        port.get_node().set_friendly_name(spec.name)
        port.get_node().set_partial_shape(ov.PartialShape(list(spec.shape)))
    for port, spec in zip(model.outputs, traced.outputs, strict=True):
        port.get_tensor().set_names({spec.name})
    model.validate_nodes_and_infer_types()


def _quantise(model: Any, traced: Traced, job: Job) -> Any:
    try:
        import nncf
    except ImportError as exc:
        raise missing("nncf", "Exporting int8 to OpenVINO", "export") from exc
    feeds = list(job.feeds(traced))
    given: dict[str, Any] = {"calibration_dataset": nncf.Dataset(feeds), "subset_size": len(feeds)}
    given["ignored_scope"] = nncf.IgnoredScope(names=of_openvino(model)) if job.spec.track else None
    try:
        made = nncf.quantize(model, **given, **static_options())
    except ValueError:
        # EfficientFormerV2 adds a table to what a convolution mixed; NNCF takes it for that convolution's bias, one
        # number a channel, and stops where it would correct it.
        made = nncf.quantize(model, **given, **static_options(correct_bias=False))
    # NNCF leaves squeeze-and-excite blocks in float; their weights alone go to 8 bits, a quarter less in small files.
    return nncf.compress_weights(made, mode=nncf.CompressWeightsMode.INT8_SYM)


def static_options(*, correct_bias: bool = True) -> dict[str, Any]:
    """Return how NNCF quantises; benchmarks/int8_kinds.py compares it with the other ways.

    TRANSFORMER keeps softmax and norms in float (and alone compiles EfficientViT). Its smooth quantisation
    is off: it moved a small attention net by 60 % where this moves it by 3 to 10 %.
    """
    import nncf

    no_smoothing = nncf.AdvancedSmoothQuantParameters(convolution=-1, matmul=-1)
    return {
        "preset": nncf.QuantizationPreset.MIXED,
        "model_type": nncf.ModelType.TRANSFORMER,
        "advanced_parameters": nncf.AdvancedQuantizationParameters(
            smooth_quant_alphas=no_smoothing, disable_bias_correction=not correct_bias
        ),
    }


def _annotate(model: Any, job: Job) -> None:
    """Write what OpenVINO's Model API reads (``model_info``, in grey levels), and our own words beside it.

    It has no word for a tracker, so that one gets ours only.
    """
    model.set_rt_info(json.dumps(dict(job.metadata), ensure_ascii=False), ["edgevit"])
    if job.spec.track is not None:
        return
    image = job.spec.image
    info = {
        "model_type": "Classification",
        "labels": " ".join(label.replace(" ", "_") for label in job.spec.labels),
        "mean_values": " ".join(f"{255 * v:.6g}" for v in image.mean),
        "scale_values": " ".join(f"{255 * v:.6g}" for v in image.std),
        "reverse_input_channels": str(image.color == "rgb"),
        "resize_type": "crop" if image.fit == "shorter" else "standard",
        "output_raw_scores": str(job.spec.output == "logits"),  # True asks the reader for a softmax
        "topk": str(job.spec.topk),
    }
    for key, value in info.items():
        model.set_rt_info(value, ["model_info", key])
