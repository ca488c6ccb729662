"""Make ONNX files: the dynamo exporter from opset 18 on, the TorchScript one below, where it is the only honest road.

fp16 computes in fp16 with float32 inputs and outputs. int8 is static QDQ: per-channel weights, calibrated activations.
TensorRT takes the same files with types of its own; tensorrt.py builds them of the steps here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgevit.errors import ConversionError, UnsupportedError, missing
from edgevit.progress import step

from .onnx_stamps import oldest_runtime, stamp, strip
from .quiet import converting
from .recipe import Converted, Job, Tensor, Traced
from .room import ask_for_room
from .trackers.exact import ONNX, of_onnx
from .versions import versions

FILE = "model.onnx"
PACKAGES = ("torch", "timm", "onnx", "onnxscript", "onnxruntime")
DEFAULT_OPSET = 20
"""The first with Gelu, which is five operators before; in ONNX Runtime they take longer than the one."""
OPSETS = (13, 23)
FIRST_DYNAMO_OPSET = 18
_FIRST_WITH_FUSED_ATTENTION = 14
"""Below it the TorchScript exporter does not know ``scaled_dot_product_attention``."""
_SILENT = 4
_ELSEWHERE = "Try --format openvino or litert"
_LARGEST_MODEL_BYTES = 2_000_000_000


def convert(traced: Traced, job: Job) -> Converted:
    """Write ``model.onnx``, its labels and normalisation in ``metadata_props``."""
    onnx = tools(job.precision)
    path = job.folder / FILE
    write(traced, path, job.opset or DEFAULT_OPSET, job)
    if job.precision == "fp16":
        with (
            step(job.progress, "convert to fp16"),
            converting(f"ONNX Runtime's converter could not make fp16 of {job.model}", "Try --precision fp32"),
        ):
            onnx.save(_half(onnx.load(path)), path)
    if job.precision == "int8":
        with (
            step(job.progress, "quantise to int8", "static QDQ"),
            converting(f"ONNX Runtime could not quantise {job.model}", "Try --precision fp16"),
        ):
            quantise(path, traced, job, {**static_options(), **(ONNX if job.spec.track else {})})
    with converting(f"The ONNX file of {job.model} does not pass ONNX's own check", _ELSEWHERE):
        real = annotate(onnx, path, job)
    check_opset(real, job.opset)
    tools_used, oldest = versions(*PACKAGES), oldest_runtime(real)
    return Converted(FILE, traced.inputs, traced.outputs, tools_used, engine_minimum=oldest, notes={"opset": real})


def tools(precision: str) -> Any:
    """Return onnx, sure that what else the precision needs is there: the tools themselves would say so less plainly."""
    try:
        import onnx
        import onnxscript  # noqa: F401

        if precision != "fp32":
            import onnxruntime  # noqa: F401
    except ImportError as exc:
        raise missing(str(exc.name or "onnx"), "Exporting to ONNX", "export") from exc
    return onnx


def write(traced: Traced, path: Path, opset: int, job: Job) -> None:
    """Write the fp32 file of a traced graph, with the exporter that is honest at this opset."""
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise UnsupportedError(
            f"opset must be from {OPSETS[0]} to {OPSETS[1]}, not {opset}. Type: --opset {DEFAULT_OPSET}"
        )
    with (
        step(job.progress, "convert to ONNX", f"opset {opset}"),
        converting(f"The ONNX exporter gave up on {job.model}", _nearest(opset, job)),
    ):
        _export(traced, path, opset, job)


def _nearest(opset: int, job: Job) -> str:
    if opset < FIRST_DYNAMO_OPSET:
        return f"Try --opset {FIRST_DYNAMO_OPSET}"  # the other exporter
    return "Try without --dynamic" if job.dynamic else _ELSEWHERE


def check_opset(real: int, asked: int | None) -> None:
    """Raise if the exporter wrote another opset than was asked for."""
    if asked and real != asked:
        raise ConversionError(f"Asked for opset {asked}, the exporter wrote {real}; this model needs the newer one.")


def _export(traced: Traced, path: Path, opset: int, job: Job) -> None:
    import torch

    names: dict[str, Any] = {
        "input_names": [t.name for t in traced.inputs],
        "output_names": [t.name for t in traced.outputs],
    }
    if opset >= FIRST_DYNAMO_OPSET:
        program = torch.onnx.export(
            traced.program, traced.example, dynamo=True, opset_version=opset, verbose=False, **names
        )
        assert program is not None  # it is only where a file name is given
        program.save(str(path), external_data=False)
        return
    axes = {name: {0: "batch"} for group in names.values() for name in group} if job.dynamic else None
    with _spelled_out_attention() if opset < _FIRST_WITH_FUSED_ATTENTION else contextlib.nullcontext():
        torch.onnx.export(
            traced.module,
            traced.example,
            str(path),
            dynamo=False,
            opset_version=opset,
            dynamic_axes=axes,
            verbose=False,
            **names,
        )


@contextlib.contextmanager
def _spelled_out_attention() -> Iterator[None]:
    """Let torch's fused attention be seen as the products and the softmax that it is."""
    from torch.nn import functional

    names, fused = vars(functional), functional.scaled_dot_product_attention
    names[fused.__name__] = _attention
    try:
        yield
    finally:
        names[fused.__name__] = fused


def _attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    """Compute attention as a vision model uses it: no dropout, no order in time."""
    if is_causal:
        raise UnsupportedError(f"Causal attention needs opset {_FIRST_WITH_FUSED_ATTENTION} or newer. Type: --opset 18")
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    return (scores if attn_mask is None else scores + attn_mask).softmax(-1) @ value


def _half(model: Any) -> Any:
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    halved = OnnxModel(convert_float_to_float16(model, keep_io_types=True))
    drop_repeated_casts(halved.model.graph)
    halved.topological_sort()  # the converter appends its casts at the end
    return halved.model


def drop_repeated_casts(graph: Any) -> None:
    """Keep one of the casts that make the same tensor: the converter adds one a taker, each under the same name."""
    seen: set[str] = set()
    for node in [node for node in graph.node if node.op_type == "Cast"]:
        if node.output[0] in seen:
            graph.node.remove(node)
        seen.add(node.output[0])


def quantise(path: Path, traced: Traced, job: Job, options: Mapping[str, Any]) -> None:
    """Quantise in place; ONNX Runtime's tools want a shape-inferred copy first."""
    import onnx
    from onnxruntime.quantization import quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, made = path.with_suffix(".prepared.onnx"), path.with_suffix(".int8.onnx")
    try:
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(made),
            CalibrationReader(job, traced),
            nodes_to_exclude=of_onnx(onnx.load(prepared).graph) if job.spec.track else [],
            **options,
        )
        made.replace(path)
    finally:
        prepared.unlink(missing_ok=True)
        made.unlink(missing_ok=True)


def static_options() -> dict[str, Any]:
    """Return how ONNX Runtime quantises; benchmarks/int8_kinds.py compares it with the other ways."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType

    return {
        "quant_format": QuantFormat.QDQ,
        "activation_type": QuantType.QUInt8,
        "weight_type": QuantType.QInt8,
        "per_channel": True,
        "calibrate_method": CalibrationMethod.MinMax,
    }


def open_session(model: Any) -> Any:
    """Open a model in ONNX Runtime as it stands, nothing fused away, to look at what is inside."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = _SILENT
    return ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def fold(path: Path) -> None:
    """Compute in place what does not depend on the input: the TorchScript exporter leaves arithmetic on shapes."""
    import onnxruntime as ort

    folded = path.with_suffix(".folded.onnx")
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    settings.optimized_model_filepath = str(folded)
    ask_for_room(path.parent, path.stat().st_size)
    settings.log_severity_level = _SILENT
    try:
        ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        folded.replace(path)
    finally:
        folded.unlink(missing_ok=True)


class CalibrationReader:
    """Hand the calibration over one batch at a time, as ONNX Runtime's quantiser asks for it."""

    def __init__(self, job: Job, traced: Traced) -> None:
        self._feeds = job.feeds(traced)

    def get_next(self) -> dict[str, Tensor] | None:
        """Return the next batch, or None at the end."""
        return next(self._feeds, None)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return iter(self.get_next, None)


def annotate(onnx: Any, path: Path, job: Job) -> int:
    """Write labels and normalisation where Netron and other tools look for them, check the file, return its opset."""
    model = onnx.load(path)
    strip(model)
    opset = stamp(onnx, model)
    onnx.helper.set_model_props(model, dict(job.metadata))
    model.producer_name = "edgevit"
    if model.ByteSize() > _LARGEST_MODEL_BYTES:
        raise UnsupportedError(f"{job.model} is larger than 2 GB, which one ONNX file cannot hold.")
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return opset
