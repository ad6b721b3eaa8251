"""The model inside a wrapper that only hands its arguments on, with all of them by position."""

from __future__ import annotations

from torch import nn

from splitopt.profiles.tracing.running.positional import by_position


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the model of a ``peft.PeftModel``, whose layers have the adapters; others as they are.

    It takes all its arguments by position, see `splitopt...running.positional`.

    Where ``peft`` adds to the input instead of layers (prompts), the wrapper computes, and stays.
    """
    return by_position(_inside(module))


def _inside(module: nn.Module) -> nn.Module:
    kinds = {own.__name__ for own in type(module).__mro__ if own.__module__.startswith("peft.")}
    if "PeftModel" not in kinds:
        return module
    inside = getattr(getattr(module, "base_model", None), "model", None)
    adds_to_layers = any(
        own.__name__ == "BaseTuner" for own in type(getattr(module, "base_model", None)).__mro__
    )
    return inside if adds_to_layers and isinstance(inside, nn.Module) else module
