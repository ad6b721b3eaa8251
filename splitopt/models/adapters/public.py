"""The functions on adapters that users call, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from splitopt.extras import need_torch
from splitopt.models.adapters.choice import Adapters, as_patterns

if TYPE_CHECKING:
    from torch import Tensor, nn

_PURPOSE = "an adapter"


def add_adapters(
    module: nn.Module,
    rank: int,
    *,
    alpha: float | None = None,
    targets: str | Sequence[str] | None = None,
    frozen_bits: int | None = None,
    seed: int = 0,
) -> nn.Module:
    """Add low-rank adapters (LoRA) to linear layers, and freeze everything else.

    A layer ``W x + b`` becomes ``W x + b + (alpha / rank) B A x``, where A (rank x inputs) and B
    (outputs x rank) alone are trained. B begins with 0, so that the model computes what it did.

    Parameters
    ----------
    module
        Any module. It stays as it is.
    rank
        At most the smaller side of every layer that is chosen.
    alpha
        By default the rank, which is a scale of 1.
    targets
        Patterns of names of `nn.Linear` layers: the whole name with dots or its end behind a dot,
        ``*`` for any characters, such as ``"qkv"`` or ``"blocks.*.mlp.0"``. All linear layers by
        default, but for those that share a weight or are not called (``out_proj`` of
        `nn.MultiheadAttention`).
    frozen_bits
        8 or 4: hold the frozen weights of all these layers in so many bits, with a scale for each
        row; None as they are.
    seed
        Of the matrices A; each layer has its own numbers, whatever other layers are chosen.

    Returns
    -------
    torch.nn.Module
        A copy, in which the layers are at ``NAME.base`` and the matrices at ``NAME.lora_A`` and
        ``NAME.lora_B``.

    Raises
    ------
    CapabilityError
        PyTorch is not installed.
    InputError
        A pattern that names no layer that can have an adapter, a rank beyond a layer's size, or a
        model that has adapters.

    Notes
    -----
    Hu et al. 2022, arXiv:2106.09685, Section 4.1.
    """
    wanted = Adapters(rank, alpha, as_patterns(targets), frozen_bits, seed)
    need_torch(_PURPOSE)
    from splitopt.models.adapters.adding import with_adapters

    return with_adapters(module, wanted)


def merge_adapters(module: nn.Module) -> nn.Module:
    """Return a copy without adapters, whose weights are ``W + (alpha / rank) B A``.

    All of it is trained again, and has the names of the model that adapters were added to. Weights
    in 8 or 4 bits become numbers of the model's type.

    Raises
    ------
    InputError
        The model has no adapters.
    """
    need_torch(_PURPOSE)
    from splitopt.models.adapters.adding import without_adapters

    return without_adapters(module)


def adapter_state(module: nn.Module) -> dict[str, Tensor]:
    """Return copies of the matrices of all adapters, by their names in the model's state dict."""
    need_torch(_PURPOSE)
    from splitopt.models.adapters.adding import state_of_adapters

    return state_of_adapters(module)


def load_adapter_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Write matrices that `adapter_state` returned into the adapters of a model.

    Raises
    ------
    InputError
        The model has other adapters.
    """
    need_torch(_PURPOSE)
    from splitopt.models.adapters.adding import load_adapters

    load_adapters(module, state)
