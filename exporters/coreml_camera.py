"""Put a camera in front of a graph and probabilities behind a classifier, so that a Core ML file takes plain pictures.

Where one std serves all channels, Core ML's image type has room for it: one scale, a bias a channel. Otherwise the mean
is subtracted and the spread divided out at the head of the graph, in fp32 like the image type's own arithmetic: in fp16
it would be off by three thousandths at white. (Folding the spread into the first convolution would push small weights
below what fp16 resolves.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import nn

from edgevit.spec import ImageSpec, OutputKind, Spec

from .recipe import Traced

PROBABILITIES = "probabilities"
CAMERA = "camera"
"""How the names of the camera's own layers begin."""
_NO_NAME = re.compile(r"[^a-zA-Z0-9]+")


@dataclass(frozen=True)
class Intake:
    """Say what the image type does to a level: ``level * scale + bias`` a channel."""

    scale: float = 1.0
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def numbers(self, levels: torch.Tensor) -> torch.Tensor:
        """Return what the graph behind the image type receives."""
        return levels.float() * self.scale + torch.tensor(self.bias).view(1, 3, 1, 1)


def intake_of(image: ImageSpec, *, takes_levels: bool = False) -> Intake:
    """Return what the image type can do of the normalisation; nothing where the graph does it all."""
    if takes_levels or len(set(image.std)) > 1:
        return Intake()
    red, green, blue = (-mean / image.std[0] for mean in image.mean)
    return Intake(1 / (255 * image.std[0]), (red, green, blue))


class Camera(nn.Module):
    """Take levels, or what the image type makes of them, and answer with scores and probabilities."""

    mean: torch.Tensor
    gain: torch.Tensor

    def __init__(self, module: nn.Module, image: ImageSpec, output: OutputKind, *, normalises: bool) -> None:
        super().__init__()
        self.module = module
        self.normalises = normalises
        self.scores = output == "logits"
        shape = (1, 3, 1, 1)
        self.register_buffer("mean", 255 * torch.tensor(image.mean, dtype=torch.float64).view(shape).float())
        self.register_buffer("gain", (1 / (255 * torch.tensor(image.std, dtype=torch.float64))).view(shape).float())

    def forward(self, image: torch.Tensor, *others: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Answer for (1, 3, h, w); ``others`` are what another graph hands on."""
        answer = self.module((image - self.mean) * self.gain if self.normalises else image, *others)
        if isinstance(answer, tuple):
            return answer
        return (answer, answer.softmax(-1)) if self.scores else (answer,)


def camera_program(traced: Traced, spec: Spec) -> torch.export.ExportedProgram:
    """Trace the graph again with the camera around it, every layer named by its place in the model.

    The file's layers have these names too, and are compared by them. Torch's own (``add_1``) would meet coremltools'
    own, which means another layer by them.
    """
    takes_levels = traced.values == "levels"
    explicit = not takes_levels and intake_of(spec.image) == Intake()
    camera = Camera(traced.module, spec.image, spec.output, normalises=explicit).eval()
    example = (torch.zeros(traced.example[0].shape), *traced.example[1:])
    # Core ML knows torch's own composite operators; decomposing them too would make more and slower ones.
    program: torch.export.ExportedProgram = torch.export.export(camera, example, strict=False)
    program = program.run_decompositions({})
    for node in program.graph.nodes:
        if node.op == "call_function":
            before = node.name
            node._rename(f"{_place(node)}_{before}")
            program.graph_signature.replace_all_uses(before, node.name)
    return program


def _place(node: torch.fx.Node) -> str:
    """Return where in the model a layer stands, ``stages_0_blocks_1_ffn``; the camera's own stand in the camera."""
    stack = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]
    inside = stack[-1].removeprefix("module").strip(".") if stack else ""
    return _NO_NAME.sub("_", inside) or ("model" if len(stack) > 1 else CAMERA)
