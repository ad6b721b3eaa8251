"""The optimizers by name, those of other packages and the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils import clip_grad_value_

from splitopt.errors import InputError
from splitopt.plugins import check_call
from splitopt.training.kinds import OPTIMIZER
from splitopt.user_code import reason

if TYPE_CHECKING:
    from torch import nn

    from splitopt.training.model_parts.parts import MakeOptimizer

Function = Callable[..., Any]
_CLASSES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
"""Optimizer -> its class in ``torch.optim``."""
_CALLED = "it is called with a list of parameters and lr=RATE"


def read(value: Any, name: str, place: str) -> Function:  # noqa: ARG001
    """Return a function of parameters and ``lr``; raise `InputError` for what is none."""
    if not callable(value):
        raise InputError(f"{place!r} is a {type(value).__name__}; name a function")
    check_call(value, f"{place!r} cannot be called", _CALLED, [], lr=0.1)
    function: Function = value
    return function


def defines(value: Any) -> bool:
    """Whether an object of a file is meant as an optimizer: a class of one, or a function."""
    is_class = isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    return is_class or inspect.isfunction(value)


def function_of(text: str) -> Function:
    """Return the function that a text names.

    Raises
    ------
    InputError
        There is none.
    """
    try:
        found: Function = OPTIMIZER.read(OPTIMIZER.find(text))
    except InputError as error:
        raise type(error).at("optimizer", str(error)) from None
    return found


def maker_of(function: Function, text: str, rate: float) -> MakeOptimizer:
    """Return what makes an optimizer by somebody's function, whose mistakes are named."""

    def make(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        try:
            found = function(list(parameters), lr=rate)
        except Exception as error:
            raise InputError.at(
                "optimizer", f"{text} cannot be called ({reason(error)}); {_CALLED}"
            ) from None
        if not isinstance(found, torch.optim.Optimizer):
            what = type(found).__name__
            raise InputError.at("optimizer", f"{text} gives a {what} and no torch.optim.Optimizer")
        return found

    return make


def known(name: str, rate: float, weight_decay: float, momentum: float) -> MakeOptimizer:
    """Return what makes one of the known optimizers; momentum is for ``sgd``."""
    keywords: dict[str, float] = {"lr": rate, "weight_decay": weight_decay}
    if name == "sgd":
        keywords["momentum"] = momentum
    kind = getattr(torch.optim, _CLASSES[name])
    return lambda parameters: kind(parameters, **keywords)


def clipped(make: MakeOptimizer, limit: float) -> MakeOptimizer:
    """Return a function that makes optimizers whose steps see gradients within a limit."""

    def clip(optimizer: torch.optim.Optimizer, *_: object) -> None:
        for group in optimizer.param_groups:
            clip_grad_value_(group["params"], limit)

    def made(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer = make(parameters)
        optimizer.register_step_pre_hook(clip)
        return optimizer

    return made
