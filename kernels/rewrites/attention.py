"""Write attention out, softmax(q k^T) v, for targets that take the fused form apart badly, in tensors of rank four.

Principle: ExecuTorch decomposes ``scaled_dot_product_attention`` into a softmax that is safe against rows of -inf
(eq, any, where, full_like), none of which XNNPACK takes; LiteRT's GPU delegate takes no tensor of rank five, which
timm's (batch, token, 3, head, channel) is. Here q, k and v are layers of their own, the scale is folded into q.
Source: timm's Attention (Vaswani et al., arXiv:1706.03762). Shapes: tokens (N, count, channels).
"""

from __future__ import annotations

from timm.layers import Attention
from timm.layers.attention import maybe_add_mask, resolve_self_attn_mask
from torch import Tensor, nn

from .affine import Affine


class PlainAttention(nn.Module):
    """Be timm's Attention."""

    def __init__(self, old: Attention) -> None:
        super().__init__()
        self.heads, self.head_dim = old.num_heads, old.head_dim
        q, k, v = Affine.of(old.qkv).split(*3 * [old.attn_dim])
        self.q, self.k, self.v = q.scaled(old.scale).linear(), k.linear(), v.linear()
        self.out = old.proj

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """Take and give tokens (N, count, channels)."""
        count = x.shape[1]
        q, k, v = (part(x).reshape(-1, count, self.heads, self.head_dim) for part in (self.q, self.k, self.v))
        scores = q.permute(0, 2, 1, 3) @ k.permute(0, 2, 3, 1)
        scores = maybe_add_mask(scores, resolve_self_attn_mask(count, scores, attn_mask, is_causal))
        mixed = scores.softmax(-1) @ v.permute(0, 2, 1, 3)
        out: Tensor = self.out(mixed.permute(0, 2, 1, 3).reshape(-1, count, self.heads * self.head_dim))
        return out


def covered(old: nn.Module) -> bool:
    """Tell whether attention is plain: norms of q, k or the answer, and gates, stand between what is folded here."""
    if type(old) is not Attention or old.gate is not None:
        return False
    return all(isinstance(norm, nn.Identity) for norm in (old.q_norm, old.k_norm, old.norm))


def plain_attention(old: nn.Module) -> nn.Module | None:
    """Build attention that is written out; other kinds of attention are left alone."""
    assert isinstance(old, Attention)
    return PlainAttention(old) if covered(old) else None
