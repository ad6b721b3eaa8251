"""What a user can do about a model that cannot be cut as it is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from splitopt.errors import InputError
from splitopt.profiles.tracing.cuts.finding import HOW_TO_DECLARE


def refuse_compiled(module: nn.Module) -> None:
    """Raise `InputError` for a module whose layers a compiler has put together."""
    for path, part in module.named_modules():
        where = f"its submodule {path}" if path else "the model"
        if isinstance(part, torch.jit.ScriptModule):
            raise InputError(
                f"{where} is a {type(part).__name__} of torch.jit, whose layers cannot be taken "
                "apart; pass the original module, before torch.jit.script or torch.jit.trace"
            )
        if hasattr(part, "_orig_mod"):
            raise InputError(
                f"{where} is compiled by torch.compile, and its layers cannot be taken apart; pass "
                "the original module (compiled._orig_mod), the parts can be compiled afterwards"
            )


def told(tried: Sequence[str]) -> list[str]:
    """Drop what says only that a model is of another kind, where others say more."""
    trivial = ("stages: the module has no", "sequential: the module is not")
    return list(dict.fromkeys(item for item in tried if not item.startswith(trivial))) or [*tried]


def mend_of(tried: Sequence[str]) -> str:
    """Describe what to do about a module in which no cut was found."""
    said = " ".join(tried)
    if "tied weights" in said:
        return (
            "the two ends of the model share a weight: let both sides of a cut hold a copy and "
            "exchange its gradients (--tied copies), let one party hold both ends (--tied "
            "together), give each its own where it is built (tie_word_embeddings=False in "
            f"transformers), or cut it by stages between which none is shared; {HOW_TO_DECLARE}"
        )
    return HOW_TO_DECLARE
