"""Give a net random weights that behave: every branch alive, calm on photographs, the same for the same seed.

Freshly made nets lie to tests. Many start with BatchNorm gamma 0 or a LayerScale of 1e-5, so whole branches output
nothing and converters fold them away; others are chaotic, so that a rounding error of 1e-6 changes the answer and looks
like a converter's bug. ``make_live`` draws every parameter anew from one seed, then runs the net ONCE on built-in
pictures. On the way each BatchNorm takes its statistics from what arrives, each residual branch is made quieter than
its stream, and the classifier is centred. The run is in float64: the number of threads then changes nothing that
float32 can hold. ``sensitivity`` measures the calm: how far the answer moves for input noise of 1e-6.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_PICTURES = 16
# Each of these was chosen by measuring eleven nets on photographs; the figures are in tests/edgevit/test_live.py.
_KERNEL_DETAIL = 0.25  # a kernel's rough part beside its smooth part
_OWN_FLOOR = 0.5  # a channel's variance is at least this share of its mean square ...
_COMMON_FLOOR = 0.5  # ... and of the layer's mean variance, or a nearly constant channel is blown up
_BRANCH_GAIN = 0.3
_LOGIT_STD = 2.0

_ADDS = frozenset({"add", "add_", "__add__", "__radd__", "__iadd__"})
_VIEWS = frozenset({"view", "reshape", "reshape_as", "flatten", "unflatten", "permute", "transpose", "contiguous"})
_MADE_BY = "_edgevit_made_by"


def make_live(module: nn.Module, *, input_size: tuple[int, int, int], seed: int = 0) -> None:
    """Replace all weights by seeded random ones and calibrate. The net is left in eval mode.

    Mean and std of the input are read from timm's card where the net has one, else ImageNet's are taken.
    """
    card = getattr(module, "pretrained_cfg", None) or {}
    mean, std = (torch.tensor(card.get(key) or plain).view(1, -1, 1, 1) for key, plain in _IMAGENET.items())
    module.eval()
    _draw(module, Generator().manual_seed(seed))
    images = (pictures(_PICTURES, (input_size[1], input_size[2]), seed=seed) - mean) / std
    handles = [*_calibrate_norms(module), *_sign_outputs(module), *_centre_classifier(module, card.get("classifier"))]
    module.double()
    try:
        with torch.no_grad(), _QuietBranches():
            module(images.double())
    finally:
        for handle in handles:
            handle.remove()
        module.float()
        module.train()  # timm's attention drops its cached biases on the way
        module.eval()


def sensitivity(module: nn.Module, inputs: Tensor, eps: float = 1e-6, seed: int = 0) -> float:
    """Return the relative answer (max|d| / max|reference|, median over the images) to input noise of ``eps``."""
    noise = torch.randn(inputs.shape, generator=Generator().manual_seed(seed), dtype=inputs.dtype)
    with torch.no_grad():
        reference, moved = module(inputs), module(inputs + eps * noise)
    largest = (moved - reference).abs().flatten(1).amax(1) / reference.abs().flatten(1).amax(1)
    return float(largest.median())


def _draw(module: nn.Module, generator: Generator) -> None:
    """Draw every parameter by its role, in the order of the modules, whatever it was before."""
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            parameter.data.copy_(_drawn(part, name, parameter.shape, generator))


def _drawn(part: nn.Module, name: str, shape: torch.Size, generator: Generator) -> Tensor:
    kind = type(part).__name__
    if "Norm" in kind and name == "weight":
        return 0.5 + torch.rand(shape, generator=generator)
    if "LayerScale" in kind or name.startswith(("gamma", "layer_scale", "ls")):
        return 0.3 + 0.4 * torch.rand(shape, generator=generator)
    if name.endswith("weight") and len(shape) > 1:
        return _kernel(shape, generator)
    return 0.1 * torch.randn(shape, generator=generator)  # biases, position tables, class tokens


def _kernel(shape: torch.Size, generator: Generator) -> Tensor:
    """Draw a kernel that keeps the scale of its input, mostly smooth over space.

    A kernel that sums to zero answers smooth pictures with next to nothing, and the norm behind it blows up the noise.
    """
    smooth = torch.randn((*shape[:2], *(1 for _ in shape[2:])), generator=generator)
    rough = _KERNEL_DETAIL if len(shape) > 2 else 0.0
    kernel = smooth + rough * torch.randn(shape, generator=generator)
    scaled: Tensor = kernel / (max(1, kernel[0].numel()) * (1 + rough**2)) ** 0.5
    return scaled


def _calibrate_norms(module: nn.Module) -> Iterator[RemovableHandle]:
    for part in module.modules():
        if isinstance(part, _BatchNorm) and part.running_mean is not None:
            yield part.register_forward_pre_hook(_take_statistics)


def _take_statistics(part: nn.Module, args: tuple[Any, ...]) -> None:
    """Set the statistics BEFORE the layer runs, so that all later layers see what they will see in use."""
    assert isinstance(part, _BatchNorm)
    assert part.running_mean is not None
    assert part.running_var is not None
    rows = args[0].transpose(0, 1).flatten(1)
    mean, var = rows.mean(1), rows.var(1, unbiased=False)
    part.running_mean.copy_(mean)
    floor = _OWN_FLOOR * (mean**2 + var) + _COMMON_FLOOR * var.mean()
    part.running_var.copy_(torch.maximum(var, floor).clamp_min(1e-6))


def _centre_classifier(module: nn.Module, classifier: str | tuple[str, ...] | None) -> Iterator[RemovableHandle]:
    names = (classifier,) if isinstance(classifier, str) else classifier or ()
    parts = dict(module.named_modules())
    for name in names:
        head = parts.get(name)
        if isinstance(head, nn.Linear) and head.bias is not None:
            yield head.register_forward_pre_hook(_take_offset)


def _take_offset(head: nn.Module, args: tuple[Any, ...]) -> None:
    """Centre the logits over the pictures, or the part that all pictures share decides every answer."""
    assert isinstance(head, nn.Linear)
    features = args[0].flatten(0, -2)
    spread = (features - features.mean(0)) @ head.weight.T
    head.weight.mul_(_LOGIT_STD / spread.std().clamp_min(1e-6))
    head.bias.copy_(0.1 * head.bias - head.weight @ features.mean(0))


class _QuietBranches(TorchFunctionMode):
    """While the net runs, scale the last layer of every residual branch where it is added to the stream.

    A net whose branches are as loud as its stream forgets its input within a few blocks and multiplies every rounding
    error on the way; trained nets change their stream a little at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._done: set[nn.Module] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in _ADDS and len(args) > 1 and isinstance(args[0], Tensor) and isinstance(args[1], Tensor):
            self._quieten(args[0], args[1])
        result = func(*args, **(kwargs or {}))
        if name in _VIEWS and isinstance(result, Tensor) and hasattr(args[0], _MADE_BY):
            setattr(result, _MADE_BY, getattr(args[0], _MADE_BY))
        return result

    def _quieten(self, *summands: Tensor) -> None:
        """Of the two, the branch is what a layer put out last; the sum then takes the quiet values."""
        signed = [(getattr(summand, _MADE_BY), summand) for summand in summands if hasattr(summand, _MADE_BY)]
        if not signed or summands[0].shape != summands[1].shape:
            return
        (_, layer), branch = max(signed, key=lambda entry: entry[0][0])
        if layer not in self._done:
            self._done.add(layer)
            for values in (*layer.parameters(recurse=False), branch):
                values.mul_(_BRANCH_GAIN)


def _sign_outputs(module: nn.Module) -> Iterator[RemovableHandle]:
    """Let every layer that can end a branch write its name on what it puts out."""
    count = itertools.count()

    def sign(layer: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            setattr(output, _MADE_BY, (next(count), layer))

    for part in module.modules():
        if isinstance(part, (_BatchNorm, nn.Linear, nn.Conv2d)):
            yield part.register_forward_hook(sign)


def pictures(count: int, size_hw: tuple[int, int], *, seed: int) -> Tensor:
    """Render float pictures (N, 3, H, W) in 0..1: half smooth noise of many scales, half scenes with coloured blobs."""
    generator = Generator().manual_seed(seed + 1)
    return torch.stack([_picture(index, size_hw, generator) for index in range(count)])


def _picture(index: int, size_hw: tuple[int, int], generator: Generator) -> Tensor:
    steepness = (0.8, 1.0, 1.2, 1.5)[index // 2 % 4]
    detail, tint = _power_noise(size_hw, steepness, generator), _power_noise(size_hw, 1.5, generator)
    # Photographs vary mostly in brightness, in which the channels agree; colour is the smaller part.
    picture = 1.2 * detail.mean(0, keepdim=True) + 0.4 * tint
    if index % 2:
        picture = _with_blobs(picture, generator)
    contrast, brightness = torch.rand(2, generator=generator).tolist()
    exposed: Tensor = 0.1 + 0.8 * brightness + (0.08 + 0.27 * contrast) * picture
    return exposed.clamp(0, 1)


def _power_noise(size_hw: tuple[int, int], steepness: float, generator: Generator) -> Tensor:
    """Draw noise with the 1/f spectrum of natural pictures, unit variance per channel."""
    height, width = size_hw
    spectrum = torch.fft.rfft2(torch.randn(3, height, width, generator=generator, dtype=torch.float64))
    rows, columns = torch.fft.fftfreq(height) * height, torch.fft.rfftfreq(width) * width
    frequency = (rows[:, None] ** 2 + columns[None, :] ** 2).sqrt().clamp_min(1.0)
    noise = torch.fft.irfft2(spectrum / frequency**steepness, s=size_hw)
    noise = noise - noise.mean((1, 2), keepdim=True)
    unit: Tensor = noise / noise.std((1, 2), keepdim=True)
    return unit.float()


def _with_blobs(picture: Tensor, generator: Generator) -> Tensor:
    height, width = picture.shape[1:]
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    for _ in range(4):
        cx, cy, rx, ry, corner = torch.rand(5, generator=generator).tolist()
        across, down = (x - 1.6 * cx + 0.8) / (0.15 + 0.6 * rx), (y - 1.6 * cy + 0.8) / (0.15 + 0.6 * ry)
        inside = across.abs() ** (1.5 + 3 * corner) + down.abs() ** (1.5 + 3 * corner) < 1
        picture = torch.where(inside, 0.5 * picture + 1.2 * torch.randn(3, 1, 1, generator=generator), picture)
    return picture
