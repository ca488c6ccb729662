"""List the ONNX operators that each TensorRT release's parser takes: data only, no torch, no onnx.

Sources: onnx/onnx-tensorrt, docs/operators.md as it stood for TensorRT 8.4 (commit 009d6541), 8.5 (6d0ab7be) and 10.15,
and docs/Changelog.md (0137504e) for what came with the releases between them; read 2026-11. An operator whose release
the two do not tell counts from the first table that has it, so a refusal may be too strict and never too lax.
These are rules: what a parser takes, a builder can still decline.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edgevit.errors import UnsupportedError
from edgevit.formats import STRONGLY_TYPED_SINCE, older

_WITH_THE_FIRST = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Celu Clip Concat
Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout Einsum Elu
Equal Erf Exp Expand EyeLike Flatten Floor Gather GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool
GlobalMaxPool Greater GreaterOrEqual GRU HardSigmoid Identity If ImageScaler InstanceNormalization IsNaN LeakyRelu
Less LessOrEqual Log LogSoftmax Loop LRN LSTM LpNormalization LpPool MatMul Max MaxPool Mean Min Mul Neg
NonMaxSuppression Not Or Pad ParametricSoftplus Pow PRelu QuantizeLinear RandomUniform RandomUniformLike Range
ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
Relu Reshape Resize ReverseSequence RNN Round ScaledTanh Scan Scatter ScatterElements ScatterND Selu Shape Sigmoid
Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu
Tile TopK Transpose Unsqueeze Upsample Where
"""

_RELEASES: tuple[tuple[str, int, str], ...] = (
    ("8.2", 13, _WITH_THE_FIRST),
    ("8.4", 13, "Shrink Xor"),
    (
        "8.5",
        17,
        "GridSample HardSwish MeanVarianceNormalization Mod NonZero OneHot RandomNormal RandomNormalLike Reciprocal "
        "RoiAlign Trilu",
    ),
    ("8.6", 17, "GroupNormalization IsInf LayerNormalization"),
    ("10.0", 20, "Hardmax"),
    ("10.1", 20, "DeformConv"),
    ("10.4", 20, "BlackmanWindow HammingWindow HannWindow"),
    ("10.5", 20, "STFT"),
    ("10.15", 24, "Attention CastLike Gelu Mish RMSNormalization RotaryEmbedding TensorScatter"),
)
"""Release, the highest opset that it reads, and the operators that came with it."""

OLDEST = _RELEASES[0][0]
FIRST_UINT8 = "8.5"
MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class ParserTable:
    """Say what one release's parser takes."""

    release: str
    opset: int
    operators: frozenset[str]

    @property
    def strongly_typed(self) -> bool:
        """Tell whether the release builds strongly typed networks."""
        return not older(self.release, STRONGLY_TYPED_SINCE)

    def missing(self, operators: Iterable[str]) -> tuple[str, ...]:
        """Return the operators that the parser does not take, each once."""
        return tuple(dict.fromkeys(op for op in operators if op not in self.operators))


def parser_table(version: str) -> ParserTable:
    """Return what the parser of a TensorRT version takes: the newest table that is not newer than it."""
    if older(version, OLDEST):
        raise UnsupportedError(
            f"TensorRT {version} is older than {OLDEST}, the oldest that bundles are made for. Type: --format onnx"
        )
    reached = [release for release in _RELEASES if not older(version, release[0])]
    release, opset, _ = reached[-1]
    return ParserTable(release, opset, frozenset(op for _, _, added in reached for op in added.split()))


def first_release_with(operator: str) -> str | None:
    """Return the first release whose parser takes an operator, or None where none is known to."""
    return next((name for name, _, _ in _RELEASES if operator in parser_table(name).operators), None)
