"""Make ExecuTorch's .pte files: the graph in the forms of executorch_forms.py, handed to one delegate, whole if it can.

XNNPACK, the CPU's delegate, is the default and runs here. Core ML's and Vulkan's are made here and run on their devices
only. fp16 computes in fp16 with float32 inputs and outputs. int8 is static, per channel, by PT2E.
"""

from __future__ import annotations

import contextlib
import copy
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import fx

from edgevit.errors import ConversionError, UnsupportedError, missing, reason
from edgevit.progress import step

from .coreml import deployment_target
from .coreml_ops import more_operators
from .executorch_casts import written_casts
from .executorch_forms import FORMS
from .executorch_half import half_filters, halved
from .executorch_lean import lean_lowering, lean_partitioner
from .executorch_passes import suited
from .quiet import Noise, converting, pass_on, quiet
from .recipe import Converted, Job, Traced
from .versions import versions

FILE = "model.pte"
CPU_FILE = "model-cpu.pte"
"""The same net for the CPU, beside a file for a delegate that this machine has not: it proves the graph."""

_OPERATOR = re.compile(r"\b(?:aten|quantized_decomposed|dim_order_ops)[.:]+\w+")
Partitioner = Callable[[Job], Any]


@dataclass(frozen=True)
class Backend:
    """Name a delegate, the precisions it is made in here, and how its partitioner is built."""

    title: str
    precisions: tuple[str, ...]
    partitioner: Partitioner
    tools: tuple[str, ...] = ()
    needs: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    """What has to be so while it is built."""


def convert(traced: Traced, job: Job) -> Converted:
    """Write ``model.pte`` for the job's delegate: ``xnnpack`` unless another is asked for."""
    _check_tools(job.precision)
    backend = _backend(job)
    with (
        step(job.progress, "rewrite for ExecuTorch"),
        converting(f"ExecuTorch's forms do not fit {job.model}", "Try --format onnx"),
    ):
        module = suited(traced.program, FORMS)
    if job.precision == "int8":
        with (
            step(job.progress, "quantise to int8", "PT2E, per channel"),
            converting(f"PT2E could not quantise {job.model}", "Try --precision fp16"),
        ):
            module = _quantised(module, traced.example, _calibration(traced, job))
    made = _write(module, traced, job, backend, FILE)
    notes = _told(made, backend)
    twin = None
    if backend is not BACKENDS["xnnpack"]:  # no other delegate runs here; an app runs this where the phone has none
        twin = CPU_FILE
        _write(module, traced, job, BACKENDS["xnnpack"], twin)
    tools = versions("torch", "timm", "executorch", *backend.tools, *(("torchao",) if job.precision == "int8" else ()))
    return Converted(FILE, traced.inputs, traced.outputs, tools, values=traced.values, twin=twin, notes=notes)


def _write(module: fx.GraphModule, traced: Traced, job: Job, backend: Backend, name: str) -> Any:
    """Lower for one delegate, write the file, and return ExecuTorch's program."""
    if job.precision == "fp16" and backend is BACKENDS["xnnpack"]:  # the others halve what they are given
        module = halved(copy.deepcopy(module))
    with step(job.progress, "lower to ExecuTorch", backend.title), quiet() as noise, backend.needs():
        try:
            made = _lowered(module, traced.example, backend.partitioner(job))
            _check_kernels(made)
        except Exception as exc:
            pass_on(exc)
            raise ConversionError(_refusal(job.model, backend, exc, noise)) from exc
    with converting(f"The ExecuTorch file of {job.model} cannot be written", "Try --format onnx"):
        (job.folder / name).write_bytes(made.buffer)
    return made


def _check_tools(precision: str) -> None:
    try:
        with quiet():
            import executorch.exir  # noqa: F401

            if precision == "int8":
                import torchao.quantization.pt2e  # noqa: F401
    except ImportError as exc:
        raise missing(str(exc.name or "executorch"), "Exporting to ExecuTorch", "export") from exc


def _backend(job: Job) -> Backend:
    name = job.backend or "xnnpack"
    if name not in BACKENDS:
        raise UnsupportedError(
            f"ExecuTorch has no backend '{name}' here; it has {', '.join(BACKENDS)}. Type: --backend xnnpack"
        )
    backend = BACKENDS[name]
    if job.precision not in backend.precisions:
        raise UnsupportedError(
            f"{backend.title} is made in {', '.join(backend.precisions)} here, not in {job.precision}. "
            f"Type: --precision {backend.precisions[0]}, or --backend xnnpack"
        )
    return backend


def _calibration(traced: Traced, job: Job) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield the calibration as the graph takes it, a batch at a time."""
    for feed in job.feeds(traced):
        yield tuple(torch.from_numpy(value) for value in feed.values())


def _quantised(
    module: fx.GraphModule, example: tuple[torch.Tensor, ...], pictures: Iterator[tuple[torch.Tensor, ...]]
) -> Any:
    """Quantise the convolutions and matrix products: their weights by channel, their inputs by what the pictures show.

    Not everything (``set_global``): sums and products between them gain nothing here and lose accuracy.
    """
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    kind = get_symmetric_quantization_config(is_per_channel=True)
    quantizer = XNNPACKQuantizer()
    for operator in (torch.ops.aten.linear.default, torch.ops.aten.conv2d.default):
        quantizer.set_operator_type(operator, kind)
    quantizer.set_filter_function(_is_worth_quantising)
    program = torch.export.export(module, example, strict=False)  # the quantiser reads the shapes of all nodes
    prepared = prepare_pt2e(program.module(check_guards=False), quantizer)
    with torch.no_grad():
        for picture in pictures:
            prepared(*picture)
    return convert_pt2e(prepared)


def _is_worth_quantising(node: fx.Node) -> bool:
    """Leave the averages of a norm in float: they are layers with one output, and their squares need the range."""
    weighted = node.target in (torch.ops.aten.linear.default, torch.ops.aten.conv2d.default)
    return not weighted or cast(fx.Node, node.args[1]).meta["val"].shape[0] > 1


def _lowered(module: Any, example: tuple[torch.Tensor, ...], partitioner: Any) -> Any:
    """Lower a module in ExecuTorch's own order. Its checks of every step are off: the file is proven by running it."""
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    program = torch.export.export(module, example, strict=False)
    config = EdgeCompileConfig(_check_ir_validity=False)
    with lean_lowering(), half_filters(), written_casts():
        edge = to_edge_transform_and_lower(program, partitioner=[partitioner], compile_config=config)
        return edge.to_executorch()


def _xnnpack(job: Job) -> Any:
    return lean_partitioner()


def _coreml(job: Job) -> Any:
    import coremltools as ct
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner

    precision = ct.precision.FLOAT32 if job.precision == "fp32" else ct.precision.FLOAT16
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=precision, minimum_deployment_target=ct.target[deployment_target(job)]
    )
    return CoreMLPartitioner(compile_specs=specs)


def _vulkan(job: Job) -> Any:
    from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

    return VulkanPartitioner({"force_fp16": job.precision == "fp16"})


BACKENDS: Mapping[str, Backend] = {
    "xnnpack": Backend("XNNPACK (CPU)", ("fp32", "fp16", "int8"), _xnnpack),
    "coreml": Backend("the Core ML delegate", ("fp16", "fp32"), _coreml, ("coremltools",), more_operators),
    "vulkan": Backend("the Vulkan delegate", ("fp16", "fp32"), _vulkan),
}


def _check_kernels(made: Any) -> None:
    """Raise if an operator that was left over has no kernel: lowering lets it pass, and a phone would find out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from executorch.extension.pybindings.portable_lib import _get_operator_names

    plan = made.executorch_program.execution_plan[0]
    left = {".".join(filter(None, (operator.name, operator.overload))) for operator in plan.operators}
    if absent := sorted(left - set(_get_operator_names())):
        raise LookupError(f"ExecuTorch has no kernel for {absent[0]}")


def _told(made: Any, backend: Backend) -> dict[str, Any]:
    """Tell what was delegated and what was not, counted in the program itself."""
    plan = made.executorch_program.execution_plan[0]
    calls = [instruction.instr_args for chain in plan.chains for instruction in chain.instructions]
    delegated = [plan.delegates[c.delegate_index].id for c in calls if hasattr(c, "delegate_index")]
    plain = Counter(plan.operators[c.op_index].name for c in calls if hasattr(c, "op_index"))
    return {"backend": backend.title, "delegates": dict(Counter(delegated)), "plain_kernels": dict(plain)}


def _refusal(model: str, backend: Backend, exc: BaseException, noise: Noise) -> str:
    """Say in one sentence which operator it was, where the lowering names one, and what is nearest."""
    told, cause = reason(exc), exc.__cause__
    while cause is not None:  # ExecuTorch wraps the first error in the names of all its passes
        told, cause = reason(cause), cause.__cause__
    named = _OPERATOR.search(" ".join((told, str(exc), noise.text)))
    where = f" at {named.group()}" if named and named.group() not in told else ""
    other = "--format onnx or litert" if backend is BACKENDS["xnnpack"] else "--backend xnnpack"
    return (
        f"ExecuTorch cannot lower {model} for {backend.title}{where}: {told[:300].rstrip('.')}. "
        f"Try {other}, or --verbose for the whole story."
    )
