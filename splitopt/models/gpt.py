"""A small decoder-only transformer in the manner of GPT-2 (Radford et al., 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_BYTES = 256


class Attention(nn.Module):
    """Causal self-attention with several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, width) to the same shape."""
        batch, tokens, width = x.size()
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (
            part.view(batch, tokens, self.heads, width // self.heads).transpose(1, 2)
            for part in (q, k, v)
        )
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.proj(y.transpose(1, 2).reshape(batch, tokens, width))
        return out


class Block(nn.Module):
    """Attention and a two-layer network, each behind a normalisation and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, width) to the same shape."""
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class GPT(nn.Module):
    """Embeddings of tokens and positions, blocks, a normalisation and a linear head.

    With `tied`, the head is the embedding's own weight, as in GPT-2. Then every cut lies between
    its uses, see the argument `tied` of `splitopt.profiles.trace`.
    """

    def __init__(
        self,
        context: int,
        vocabulary: int,
        *,
        width: int = 128,
        heads: int = 4,
        layers: int = 4,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, 0.0, 0.02)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Map token ids (B, T) to scores of the next token (B, T, vocabulary)."""
        places = torch.arange(ids.size(1), device=ids.device)
        x = self.tokens(ids) + self.positions(places)
        out: Tensor = self.head(self.norm(self.blocks(x)))
        return out


def gpt(shape: Sequence[int], classes: int | None = None) -> GPT:
    """Build a GPT of four blocks, width 128 and four heads.

    Parameters
    ----------
    shape
        The number of tokens in a sequence.
    classes
        The size of the vocabulary, 256 (bytes) by default.
    """
    return GPT(shape[0], classes or _BYTES)
