"""A linear layer with an adapter, and how layers of a model get one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection

import torch
from torch import Tensor, nn

from splitopt.models.adapters.quantised import QuantisedLinear, blank


class LoraLinear(nn.Module):
    """``base(x) + scale * B A x``: a frozen linear layer and two thin matrices that are trained.

    Parameters
    ----------
    base
        The layer.
    rank, scale
        Rows of A (``lora_A.weight``) and columns of B (``lora_B.weight``), and their factor.
    seed
        A is drawn from U(-1/sqrt(inputs), 1/sqrt(inputs)), as in the authors' code; B is 0, so
        that the layer computes what `base` does until it is trained.
    bits
        8 or 4 to hold the weight of `base` in so many bits.
    """

    def __init__(
        self, base: nn.Linear, rank: int, scale: float, seed: int, bits: int | None = None
    ) -> None:
        super().__init__()
        base.requires_grad_(False)
        self.base = base if bits is None else QuantisedLinear(base, bits)
        self.scale = scale
        self.lora_A = blank(base.in_features, rank, base.weight)
        self.lora_B = blank(rank, base.out_features, base.weight)
        if base.weight.device.type != "meta":
            drawn = torch.Generator().manual_seed(seed)
            values = torch.rand(rank, base.in_features, generator=drawn, dtype=torch.float64)
            with torch.no_grad():
                self.lora_A.weight.copy_((2 * values - 1) / math.sqrt(base.in_features))
                self.lora_B.weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        out: Tensor = self.base(x) + self.lora_B(self.lora_A(x)) * self.scale
        return out

    def merged(self) -> nn.Linear:
        """Return one linear layer with the weight ``W + scale B A``."""
        plain = self.base if isinstance(self.base, nn.Linear) else self.base.dequantised()
        bias = plain.bias is not None
        made = blank(plain.in_features, plain.out_features, plain.weight, bias=bias)
        with torch.no_grad():
            update = self.lora_B.weight @ self.lora_A.weight
            made.weight.copy_(plain.weight + self.scale * update)
            if plain.bias is not None:
                made.bias.copy_(plain.bias)
        return made


def insert(
    model: nn.Module,
    adapted: Collection[str],
    rank: int,
    scale: float,
    seed: int = 0,
    bits: int | None = None,
    held: Collection[str] = (),
) -> nn.Module:
    """Freeze a model and give some of its linear layers adapters, in place.

    Parameters
    ----------
    model
        The model.
    adapted
        Names of the layers with an adapter.
    rank, scale, seed, bits
        As for `LoraLinear`; each layer draws from the seed and its own name.
    held
        Names of further layers whose weights are held in `bits`.
    """
    model.requires_grad_(False)
    for name in (*adapted, *held):
        path, _, leaf = name.rpartition(".")
        owner, layer = model.get_submodule(path), model.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        made: nn.Module
        if name in adapted:
            digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
            own = int.from_bytes(digest[:7], "little")
            made = LoraLinear(layer, rank, scale, own, bits)
        else:
            assert bits is not None
            made = QuantisedLinear(layer, bits)
        made.train(layer.training)
        setattr(owner, leaf, made)
        if isinstance(owner, nn.TransformerEncoderLayer):
            owner.activation_relu_or_gelu = 0  # no fused path, which reads weights by itself
    return model
