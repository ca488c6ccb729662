"""Make the ONNX files that TensorRT builds an engine of, on the device: the opset and operators that its parser takes.

fp16 stands in the file as types (onnx_typing.py): TensorRT 10 builds such a network strongly typed, and the constraints
that TensorRT 8 needs instead stand in the nodes' names. int8 is explicit QDQ as TensorRT wants it: symmetric around the
zero point 0, weights a channel each, biases float, and only the inputs of convolutions and of products with weights;
the rest stays float32, since before opset 19 the scales can be nothing else. No TensorRT runs here: ONNX Runtime
executes the file, and the manifest says so.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from edgevit.errors import ConversionError, UnsupportedError
from edgevit.formats import FP32_NODE, STRONGLY_TYPED_SINCE, older
from edgevit.progress import step

from . import onnx as shared
from .onnx_floats import FloatGraph, plain
from .onnx_islands import find_islands
from .onnx_peaks import measure
from .onnx_stamps import domains
from .onnx_typing import halve
from .pictures import built_in
from .quiet import converting
from .recipe import LARGEST_IN_HALF, Converted, Job, Samples, Traced
from .tensorrt_ops import (
    FIRST_UINT8,
    ParserTable,
    first_release_with,
    parser_table,
)
from .tensorrt_rules import restrictions
from .tensorrt_trtexec import trtexec_line
from .versions import versions

FILE = "model.onnx"
NEWEST_OPSET = 18
"""Newer ones have operators that came to parsers long after the opset: Gelu is of 20, which TensorRT 10.0 reads."""
QUANTISED = ("Conv", "Gemm", "MatMul")
RENDERS = 8


def convert(traced: Traced, job: Job) -> Converted:
    """Write ``model.onnx`` for the TensorRT of the device, or of the first release that is strongly typed."""
    onnx = shared.tools("int8")  # ONNX Runtime looks into the file for every precision
    version = (job.device.minimum.tensorrt if job.device else None) or STRONGLY_TYPED_SINCE
    table = parser_table(version)
    if job.levels and older(version, FIRST_UINT8):
        raise UnsupportedError(
            f"TensorRT {version} takes no uint8 input; {FIRST_UINT8} is the first that does. Leave --uint8-input out."
        )
    path, opset = job.folder / FILE, choose_opset(job, table)
    shared.write(traced, path, opset, job)
    if opset < shared.FIRST_DYNAMO_OPSET and not job.dynamic:  # old parsers lack some of the arithmetic on shapes
        with (
            step(job.progress, "fold constants"),
            converting(f"ONNX Runtime could not fold {job.model}", "Try --format onnx"),
        ):
            shared.fold(path)
    notes: dict[str, Any] = {}
    if job.precision == "fp16":
        with (
            step(job.progress, "write fp16 types"),
            converting(f"The types of {job.model} cannot be written", "Try --precision fp32"),
        ):
            notes = _type(onnx, path, traced, job)
    if job.precision == "int8":
        with (
            step(job.progress, "quantise to int8", "static QDQ"),
            converting(f"{job.model} cannot be quantised", "Try --precision fp16"),
        ):
            shared.quantise(path, traced, job, quantisation(table))
    with converting(f"The ONNX file of {job.model} does not pass ONNX's own check", "Try --format onnx"):
        real = shared.annotate(onnx, path, job)
        onnx.shape_inference.infer_shapes(onnx.load(path), check_type=True, strict_mode=True)
    shared.check_opset(real, opset if job.opset else None)
    check_operators(onnx, onnx.load(path), table, job.model)
    notes |= {"opset": real, "tensorrt": f"{version} or newer", "typing": _typing(job.precision, table)}
    notes["trtexec"] = trtexec_line(onnx, onnx.load(path), FILE, job.precision, table)
    tools = versions(*shared.PACKAGES)
    return Converted(FILE, traced.inputs, traced.outputs, tools, engine_minimum=version, notes=notes)


def choose_opset(job: Job, table: ParserTable) -> int:
    """Return the opset to write: the asked one; else the device's, but 16 where 17 brings what the parser lacks."""
    ceiling = job.device.minimum.opset if job.device else None
    if job.opset is not None and job.opset > table.opset:
        raise UnsupportedError(
            f"TensorRT {table.release} reads ONNX up to opset {table.opset}, not {job.opset}. "
            f"Type: --opset {min(table.opset, NEWEST_OPSET)}"
        )
    chosen = job.opset or min(table.opset, NEWEST_OPSET)
    from_device = job.opset is None or job.opset == ceiling
    # The TorchScript exporter writes LayerNormalization from opset 17 on, which TensorRT 8.5 reads but does not know.
    return 16 if from_device and chosen == 17 and table.missing(["LayerNormalization"]) else chosen


def _typing(precision: str, table: ParserTable) -> str:
    """Say how the builder of a release is told what to compute in (runtime/engines/tensorrt_build.py tells it)."""
    if table.strongly_typed:
        return "strong"
    return {
        "fp32": "float32",
        "fp16": f"fp16 allowed, the layers of {FP32_NODE} bound to float32",
        "int8": "int8 between the file's Q and DQ, the rest float32",
    }[precision]


def _type(onnx: Any, path: Path, traced: Traced, job: Job) -> dict[str, Any]:
    """Make the fp16 file of the fp32 one, in place, and say what stayed float32."""
    model = plain(onnx, onnx.load(path))
    graph = FloatGraph(onnx, model)
    # The user's pictures reach what renders do not; renders see to it that even one picture alone does not decide.
    renders = () if job.spec.track else (built_in(job.spec, most=RENDERS, split="calibration"),)
    sets: tuple[Samples, ...] = (*renders, *([job.shown] if job.shown else []))
    peaks = measure(onnx, model, graph, (feed for samples in sets for feed in job.feeds(traced, samples)))
    islands = find_islands(graph, peaks)
    typed = halve(onnx, model, graph, islands)
    onnx.save(model, path)
    reasons = Counter(islands.values())
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return {
        "kept_in_fp32": f"{len(islands)} of {len(graph.nodes)} operators" + (f" ({told})" if told else ""),
        "casts": typed.casts,
        "largest_value_seen": max(peaks.values(), default=0.0),
        LARGEST_IN_HALF: max((peaks[name] for name in typed.halved), default=0.0),
    }


def quantisation(table: ParserTable) -> dict[str, Any]:
    """Return how ONNX Runtime quantises for TensorRT.

    Before 10.0 weights stand in the file as float32 in front of a pair of Q and DQ: TensorRT 8 takes no int8 constant.
    """
    kind = shared.static_options()
    return {
        **kind,
        "activation_type": kind["weight_type"],  # signed, as TensorRT's are
        "op_types_to_quantize": list(QUANTISED),
        "extra_options": {
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "MatMulConstBOnly": True,
            "AddQDQPairToWeight": not table.strongly_typed,
            "OpTypesToExcludeOutputQuantization": list(QUANTISED),
            "QDQOpTypePerChannelSupportToAxis": {"MatMul": 1},
        },
    }


def check_operators(onnx: Any, model: Any, table: ParserTable, name: str) -> None:
    """Refuse what the parser of a release does not take, with the operator and the way out."""
    lacking = table.missing(node.op_type for node in model.graph.node)
    foreign = sorted({*domains(model.graph)} - {"", "ai.onnx"})
    if foreign:
        raise ConversionError(
            f"{name} came out with operators of '{foreign[0]}', which no TensorRT parser takes. Type: --format onnx"
        )
    if lacking:
        since = first_release_with(lacking[0])
        later = f"{since} is the first that does" if since else "no release does"
        raise UnsupportedError(
            f"TensorRT {table.release} does not take the operator {lacking[0]} of {name}; {later}. "
            f"Type: --format onnx{'' if since is None else ', or name a newer --device'}"
        )
    for node, why in restrictions(onnx, model):
        raise UnsupportedError(
            f"TensorRT does not take {node.op_type} of {name} as it stands: {why}. Type: --format onnx"
        )
