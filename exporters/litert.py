"""Make TFLite files for LiteRT: litert-torch converts, ai-edge-quantizer makes fp16 and int8 of the fp32 file.

The input is (N, h, w, 3), as cameras, the GPU delegate and the Task library have it: a permute in front of the net
costs nothing, since the converter moves all convolutions to that layout anyway (measured: no operator more, no time).
int8 is dynamic-range by default; its measure is in benchmarks/int8_kinds.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgevit.errors import ConversionError, missing
from edgevit.progress import step
from edgevit.spec import TensorSpec

from .quiet import Noise, converting, pass_on, quiet, sentence
from .recipe import Converted, Job, Traced
from .room import ask_for_room
from .tflite_metadata import annotate
from .versions import versions

FILE = "model.tflite"
_EVERYTHING = ".*"
_ROOM = 2
"""Times the weights: what the converter computes beforehand comes on top, and a full disk would end the process."""
_FEWEST_WEIGHTS = 4096
"""Of 0, 1024, 4096, 16384 and 65536 the one with the best times over six nets, at hardly any size."""
_FOLDERS = re.compile(r"\S*/site-packages/")
"""Where a package lies on this machine is no part of the reason."""


class ChannelsLast(nn.Module):
    """Take the picture as (N, h, w, 3) and name the tensors, so that the file's signature does too."""

    def __init__(self, module: nn.Module, outputs: Sequence[str]) -> None:
        super().__init__()
        self.module = module
        self.outputs = tuple(outputs)

    def forward(self, **given: torch.Tensor) -> dict[str, torch.Tensor]:
        image, *others = given.values()
        answer = self.module(image.permute(0, 3, 1, 2), *others)
        answers = answer if isinstance(answer, tuple) else (answer,)
        return dict(zip(self.outputs, answers, strict=True))


def convert(traced: Traced, job: Job) -> Converted:
    """Write ``model.tflite``, with labels and normalisation as TFLite metadata."""
    path = job.folder / FILE
    with step(job.progress, "convert to LiteRT", "half a minute to a minute"), quiet() as noise:
        _convert(traced, path, job, noise)
    if job.precision != "fp32":
        with (
            step(job.progress, f"convert to {job.precision}"),
            converting(f"ai-edge-quantizer could not make {job.precision} of {job.model}", "Try --precision fp32"),
        ):
            _shrink(path, traced, job)
    with converting(f"The TFLite file of {job.model} cannot be given its metadata", "Try --format onnx"):
        annotate(path, job)
    inputs = (_nhwc(traced.inputs[0]), *traced.inputs[1:])
    tools = versions("torch", "timm", "litert-torch", "ai-edge-quantizer", "ai-edge-litert")
    return Converted(FILE, inputs, traced.outputs, tools, "nhwc")


def _nhwc(tensor: TensorSpec) -> TensorSpec:
    batch, channels, height, width = tensor.shape
    return replace(tensor, shape=(batch, height, width, channels))


def _convert(traced: Traced, path: Path, job: Job, noise: Noise) -> None:
    try:
        import litert_torch
    except ImportError as exc:
        raise missing(str(exc.name or "litert-torch"), "Exporting to LiteRT", "export") from exc
    module = ChannelsLast(traced.module, [t.name for t in traced.outputs]).eval()
    examples = (traced.example[0].permute(0, 2, 3, 1).contiguous(), *traced.example[1:])
    sample = {t.name: example for t, example in zip(traced.inputs, examples, strict=True)}
    try:
        # The vendor's door takes a module and traces it by itself; there is none for an exported program.
        made = litert_torch.convert(module, sample_kwargs=sample)
        ask_for_room(path.parent, _ROOM * sum(t.numel() * t.element_size() for t in module.state_dict().values()))
        made.export(str(path))
    except Exception as exc:
        pass_on(exc)
        raise ConversionError(_refusal(job.model, exc, noise)) from exc


def _refusal(model: str, exc: Exception, noise: Noise) -> str:
    text = str(exc).strip() or noise.last_line() or type(exc).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = next((line for line in lines if "error" in line.lower() or "not supported" in line.lower()), lines[0])
    told = _FOLDERS.sub("", told)
    return sentence(f"LiteRT cannot express {model}", told, "Try --format onnx or openvino")


def _shrink(path: Path, traced: Traced, job: Job) -> None:
    """Make the fp16 or int8 file of the fp32 one, in place."""
    try:
        from ai_edge_quantizer import quantizer
    except ImportError as exc:
        raise missing(str(exc.name or "ai-edge-quantizer"), f"Exporting {job.precision} to LiteRT", "export") from exc
    made = quantizer.Quantizer(str(path))
    made.load_quantization_recipe(int8_recipe() if job.precision == "int8" else _half_weights())
    ranges = made.calibrate(_calibration(traced, job)) if made.need_calibration else None
    small = path.with_suffix(".small.tflite")
    made.quantize(ranges).export_model(str(small))
    small.replace(path)


def int8_recipe() -> Any:
    """Return what int8 is by default: 8-bit weights of the large layers, their activations quantised as they come.

    XNNPACK has no such kernel for depthwise convolutions, and LiteRT none for a constant times a tensor (BATCH_MATMUL,
    EfficientFormerV2's talking heads); in layers of few weights the quantising costs more than it saves. All of those
    stay in float. Time in fp32 = 1, by ai-edge-quantizer's own dynamic range and by this: shvit_shapes 1.56 and 0.59
    (of 2,000 held-out renders 98.60 and 98.55 % right, fp32 98.60 %), mobilevit_xxs 1.32 and 0.67, levit_128s 0.87 and
    0.82, shvit_s1 0.96 and 0.17, efficientvit_m0 4.71 and 0.64, mobilevitv2_050 1.58 and 0.57, efficientformerv2_s0
    does not open and 0.67; files are up to 8 % larger. One thread of an AMD EPYC, processes in turns, 2026-11-21.
    """
    from ai_edge_quantizer import qtyping, recipe_manager

    manager = recipe_manager.RecipeManager()
    for kind in (qtyping.TFLOperationName.CONV_2D, qtyping.TFLOperationName.FULLY_CONNECTED):
        manager.add_quantization_config(
            _EVERYTHING,
            kind,
            op_config=qtyping.OpQuantizationConfig(
                weight_tensor_config=qtyping.TensorQuantizationConfig(
                    8, symmetric=True, granularity=qtyping.QuantGranularity.CHANNELWISE
                ),
                compute_precision=qtyping.ComputePrecision.INTEGER,
                explicit_dequantize=False,
                min_weight_elements=_FEWEST_WEIGHTS,
            ),
        )
    return manager.get_quantization_recipe()


def _calibration(traced: Traced, job: Job) -> dict[str, list[dict[str, Any]]]:
    """Return the calibration by signature and input name."""
    job = replace(job, spec=replace(job.spec, image=replace(job.spec.image, layout="nhwc")))
    return {"serving_default": list(job.feeds(traced))}


def _half_weights() -> Any:
    """Return the recipe that stores weights in fp16; engines widen them when they load."""
    from ai_edge_quantizer import qtyping, recipe_manager

    manager = recipe_manager.RecipeManager()
    manager.add_quantization_config(
        _EVERYTHING,
        qtyping.TFLOperationName.ALL_SUPPORTED,
        algorithm_key=recipe_manager.AlgorithmName.FLOAT_CASTING,
        op_config=qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(16, dtype=qtyping.TensorDataType.FLOAT),
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        ),
    )
    return manager.get_quantization_recipe()
