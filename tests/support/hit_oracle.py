"""Be HiT a second time, as plain arithmetic on a state dict in the authors' own keys: the oracle for our modules.

It is written from the published description alone (layers, orders, key names) and shares no line with
``edgevit.models.hit``: no modules, offsets counted in dictionaries, BatchNorm applied as it stands.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
Place = tuple[int, int]
_BN = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Published:
    """Hold what the paper says of a size: channels, heads and blocks a stage, and the width of a key."""

    channels: tuple[int, int, int]
    heads: tuple[int, int, int]
    blocks: tuple[int, int, int]
    key: int


PUBLISHED = {
    "hit_tiny": Published((128, 256, 384), (4, 6, 8), (2, 3, 4), 16),
    "hit_small": Published((128, 256, 384), (4, 8, 12), (4, 4, 4), 16),
    "hit_base": Published((384, 512, 768), (6, 9, 12), (4, 4, 4), 32),
}
_SIDES = ((16, 8), (8, 4), (4, 2))


def places(search: int, template: int) -> list[Place]:
    """List the tokens' places on one plane: the template lies diagonally behind the search picture."""
    rows = range(search), range(search, search + template)
    return [place for side in rows for place in itertools.product(side, side)]


@functools.cache
def offsets(stage: int, shrinks: bool) -> tuple[Tensor, int]:
    """Number the distances of a stage's attention in the order in which they come up."""
    queries, stride = places(*_SIDES[stage]), 2 if shrinks else 1
    keys = places(*_SIDES[stage - 1]) if shrinks else queries
    known: dict[Place, int] = {}
    table = [
        [known.setdefault((abs(q[0] * stride - k[0]), abs(q[1] * stride - k[1])), len(known)) for k in keys]
        for q in queries
    ]
    return torch.tensor(table), len(known)


def made_up(size: Published, seed: int = 0) -> State:
    """Draw a file's tensors, all branches alive; the running statistics are taken from a pass over noise.

    Branches are quieter than their stream, as in trained nets, and a dozen pictures give the statistics: else a
    rounding error grows on its way until it says nothing of either side.
    """
    draw = torch.Generator().manual_seed(seed)
    state: State = {}
    for key, shape in shapes(size):
        if key.endswith("attention_bias_idxs"):
            state[key] = torch.zeros(shape, dtype=torch.long)  # filled by ``track``
        elif key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        elif len(shape) > 1 and not key.endswith("attention_biases"):
            state[key] = torch.randn(shape, generator=draw) * (2 / (shape[1] * shape[2:].numel())) ** 0.5
        elif key.endswith(".weight"):
            state[key] = 0.5 + torch.rand(shape, generator=draw)
        else:
            state[key] = 0.2 * torch.randn(shape, generator=draw)
    for key in state:
        if key.endswith(("m.2.bn.weight", "m.proj.1.bn.weight")):
            state[key] *= 0.3
    noise = [torch.randn(12, 3, side, side, generator=draw) for side in (128, 256)]
    track(size, state, *[F.avg_pool2d(n, 9, 1, 4) * 6 for n in noise], take_statistics=True)
    return state


def shapes(size: Published) -> Iterator[tuple[str, torch.Size]]:
    """List a file's keys and shapes in its order."""

    def norm(key: str, width: int) -> Iterator[tuple[str, torch.Size]]:
        yield from ((f"{key}.{kind}", torch.Size([width])) for kind in _BN)
        yield f"{key}.num_batches_tracked", torch.Size([])

    def pair(key: str, *shape: int) -> Iterator[tuple[str, torch.Size]]:
        yield f"{key}.c.weight", torch.Size(shape)
        yield from norm(f"{key}.bn", shape[0])

    def tables(key: str, heads: int, stage: int, shrinks: bool) -> Iterator[tuple[str, torch.Size]]:
        indices, count = offsets(stage, shrinks)
        yield f"{key}.attention_biases", torch.Size([heads, count])
        yield f"{key}.attention_bias_idxs", indices.shape

    def mlp(key: str, width: int) -> Iterator[tuple[str, torch.Size]]:
        yield from pair(f"{key}.m.0", 2 * width, width)
        yield from pair(f"{key}.m.2", width, 2 * width)

    body, n, wide = "backbone.body", 0, 3
    for layer, part in zip((0, 2, 4, 6), (8, 4, 2, 1), strict=True):
        yield from pair(f"{body}.patch_embed.{layer}", size.channels[0] // part, wide, 3, 3)
        wide = size.channels[0] // part
    for stage in range(3):
        width, key = size.channels[stage], size.key
        if stage:
            heads = wide // key
            block = f"{body}.blocks.{n}"
            yield from tables(block, heads, stage, True)
            yield from pair(f"{block}.kv", heads * 5 * key, wide)
            yield from pair(f"{block}.q.1", heads * key, wide)
            yield from pair(f"{block}.proj.1", width, heads * 4 * key)
            yield from mlp(f"{body}.blocks.{n + 1}", width)
            n += 2
        for _ in range(size.blocks[stage]):
            heads = size.heads[stage]
            block = f"{body}.blocks.{n}.m"
            yield from tables(block, heads, stage, False)
            yield from pair(f"{block}.qkv", heads * 4 * key, width)
            yield from pair(f"{block}.proj.1", width, heads * 2 * key)
            yield from mlp(f"{body}.blocks.{n + 1}", width)
            n += 2
        wide = width
    for layer, (deep, fine) in enumerate(((size.channels[2], size.channels[1]), size.channels[1::-1])):
        key_ = f"bottleneck.layers.{layer}"
        yield f"{key_}.0.weight", torch.Size([deep, fine, 2, 2])
        yield f"{key_}.0.bias", torch.Size([fine])
        yield from norm(f"{key_}.1", fine)
    for name, width in (("proj1", size.channels[0]), ("proj2", size.channels[2])):
        yield f"bottleneck.{name}.weight", torch.Size([256, width])
        yield f"bottleneck.{name}.bias", torch.Size([256])
    for corner in ("tl", "br"):
        for layer, (wide, narrow) in enumerate(((256, 256), (256, 128), (128, 64), (64, 32)), 1):
            yield f"box_head.conv{layer}_{corner}.0.weight", torch.Size([narrow, wide, 3, 3])
            yield f"box_head.conv{layer}_{corner}.0.bias", torch.Size([narrow])
            yield from norm(f"box_head.conv{layer}_{corner}.1", narrow)
        yield f"box_head.conv5_{corner}.weight", torch.Size([1, 32, 1, 1])
        yield f"box_head.conv5_{corner}.bias", torch.Size([1])


def track(
    size: Published, state: State, template: Tensor, search: Tensor, *, take_statistics: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Return box (cx, cy, w, h in 0..1) and the corners' probabilities, as the published net does in eval mode."""

    def norm(x: Tensor, key: str) -> Tensor:
        scale, shift, mean, var = (state[f"{key}.{kind}"] for kind in _BN)
        if take_statistics:
            rows = x.transpose(0, 1).flatten(1)
            mean.copy_(rows.mean(1))
            var.copy_(rows.var(1) + 0.5 * rows.mean(1) ** 2 + 0.3)
        return F.batch_norm(x, mean, var, scale, shift, training=False, eps=1e-5)

    def dense(x: Tensor, key: str) -> Tensor:
        answer = x @ state[f"{key}.c.weight"].T
        return norm(answer.transpose(1, 2), f"{key}.bn").transpose(1, 2)

    def stem(x: Tensor) -> Tensor:
        for layer in (0, 2, 4, 6):
            key = f"backbone.body.patch_embed.{layer}"
            x = norm(F.conv2d(x, state[f"{key}.c.weight"], stride=2, padding=1), f"{key}.bn")
            x = F.hardswish(x) if layer < 6 else x
        return x.flatten(2).transpose(1, 2)

    def by_head(x: Tensor, heads: int) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)

    def attend(q: Tensor, k: Tensor, v: Tensor, key: str, indices: Tensor) -> Tensor:
        if take_statistics:
            state[f"{key}.attention_bias_idxs"] = indices
        scores = q @ k.transpose(2, 3) * size.key**-0.5 + state[f"{key}.attention_biases"][:, indices]
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        return dense(F.hardswish(mixed), f"{key}.proj.1")

    def mlp(x: Tensor, key: str) -> Tensor:
        return x + dense(F.hardswish(dense(x, f"{key}.m.0")), f"{key}.m.2")

    def halved(x: Tensor, sides: tuple[int, int]) -> Tensor:
        cut = sides[0] ** 2
        parts = [(x[:, :cut], sides[0]), (x[:, cut:], sides[1])]
        return torch.cat([p.reshape(len(x), s, s, -1)[:, ::2, ::2].flatten(1, 2) for p, s in parts], 1)

    x, n, stages = torch.cat([stem(search), stem(template)], 1), 0, []
    for stage in range(3):
        key = size.key
        if stage:
            block, heads = f"backbone.body.blocks.{n}", x.shape[2] // key
            k, v = torch.split(by_head(dense(x, f"{block}.kv"), heads), [key, 4 * key], 3)
            q = by_head(dense(halved(x, _SIDES[stage - 1]), f"{block}.q.1"), heads)
            x = mlp(attend(q, k, v, block, offsets(stage, True)[0]), f"backbone.body.blocks.{n + 1}")
            n += 2
        for _ in range(size.blocks[stage]):
            block = f"backbone.body.blocks.{n}.m"
            q, k, v = torch.split(by_head(dense(x, f"{block}.qkv"), size.heads[stage]), [key, key, 2 * key], 3)
            x = x + attend(q, k, v, block, offsets(stage, False)[0])
            x = mlp(x, f"backbone.body.blocks.{n + 1}")
            n += 2
        stages.append(x)

    def picture(stage: int) -> Tensor:
        side = _SIDES[stage][0]
        return torch.unflatten(stages[stage][:, : side**2].transpose(1, 2), 2, (side, side))

    def up(x: Tensor, layer: int) -> Tensor:
        key = f"bottleneck.layers.{layer}"
        return norm(F.conv_transpose2d(x, state[f"{key}.0.weight"], state[f"{key}.0.bias"], stride=2), f"{key}.1")

    def project(x: Tensor, key: str) -> Tensor:
        return F.linear(x, state[f"bottleneck.{key}.weight"], state[f"bottleneck.{key}.bias"])

    fused = up(F.relu(up(picture(2), 0) + picture(1)), 1) + picture(0)
    feature = project(fused.flatten(2).transpose(1, 2), "proj1")
    vector = project(stages[2].mean(1), "proj2")
    weighted = feature * (feature * vector[:, None]).sum(2, keepdim=True)
    head = torch.unflatten(weighted.transpose(1, 2), 2, (16, 16))

    def corner(name: str) -> tuple[Tensor, Tensor, Tensor]:
        x = head
        for layer in range(1, 5):
            key = f"box_head.conv{layer}_{name}"
            x = F.conv2d(x, state[f"{key}.0.weight"], state[f"{key}.0.bias"], padding=1)
            x = F.relu(norm(x, f"{key}.1"))
        x = F.conv2d(x, state[f"box_head.conv5_{name}.weight"], state[f"box_head.conv5_{name}.bias"])
        shares = torch.unflatten(x.flatten(1).softmax(1), 1, (16, 16))
        pixels = 16.0 * torch.arange(16)
        return (shares.sum(1) * pixels).sum(1) / 256, (shares.sum(2) * pixels).sum(1) / 256, shares

    x1, y1, top_left = corner("tl")
    x2, y2, bottom_right = corner("br")
    return torch.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1], 1), top_left, bottom_right
