"""Counting what runs: the work of every operator by its formula, and a list of those without."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from splitopt.documents.checks import is_number
from splitopt.errors import InputError
from splitopt.profiles.tracing.costs.work.calls import Call, elements
from splitopt.profiles.tracing.costs.work.formulas import (
    FLOP_PER_MAC,
    Declared,
    broadcast_product,
    declared_flop,
    flop_of,
    has_formula,
    name_of,
)
from splitopt.profiles.tracing.costs.work.negligible import is_negligible
from splitopt.user_code import reason


@dataclass
class Runs:
    """How often an operator ran that has no formula, and on what.

    Parameters
    ----------
    runs
        How often.
    elements
        Numbers that went in and came out, over all runs.
    at_most
        FLOP if every number that comes out takes one multiply-accumulate with every number that
        goes in, over all runs.
    """

    runs: int = 0
    elements: int = 0
    at_most: float = 0.0

    def __add__(self, other: Runs) -> Runs:
        """Return both together."""
        return Runs(
            self.runs + other.runs, self.elements + other.elements, self.at_most + other.at_most
        )

    def add(self, given: int, made: int) -> None:
        """Add one run on numbers that are given and numbers that are made."""
        self.runs += 1
        self.elements += given + made
        self.at_most += float(FLOP_PER_MAC) * max(given, 1) * max(made, 1)


class WorkMeter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count the work of what PyTorch runs inside a ``with`` block, below autograd.

    Parameters
    ----------
    declared
        Formulas of a user, by the operator's name.
    """

    supports_higher_order_operators = True

    def __init__(self, declared: Mapping[str, Declared]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.declared = declared
        self.flop = 0.0
        """What was counted."""
        self.owed = 0.0
        """What the backward pass of broadcast products will cost that ran inside."""
        self.unknown: dict[str, Runs] = {}
        """Operators without a formula."""
        self.applied: set[str] = set()
        """Declared formulas that were used."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator, in its parts if it is made of others, and count it."""
        named = kwargs or {}
        composed = isinstance(func, OpOverload) and not self._is_known(func)
        if composed:
            with self:
                parts = func.decompose(*args, **named)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **named)
        self._count(func, args, named, out)
        return out

    def _is_known(self, func: Any) -> bool:
        return name_of(func) in self.declared or has_formula(func) or is_negligible(func)

    def _count(self, func: Any, args: Any, kwargs: Mapping[str, Any], out: Any) -> None:
        name = name_of(func)
        if name in self.declared:
            self.applied.add(name)
            self.flop += _declared(name, self.declared[name], args, kwargs, out)
            return
        work = flop_of(func, args, kwargs, out) if has_formula(func) else None
        if work is not None:
            self.flop += work
        elif not isinstance(func, OpOverload) or not is_negligible(func):
            given = elements(args) + elements(kwargs)
            made = elements(out) + _written(func, args, kwargs)
            self.unknown.setdefault(name, Runs()).add(given, made)
        elif entries := broadcast_product(name, args, out):
            self.flop += FLOP_PER_MAC * entries
            if torch.is_grad_enabled():
                trained = sum(isinstance(a, Tensor) and a.requires_grad for a in args[:2])
                self.owed += FLOP_PER_MAC * entries * trained


def _written(func: Any, args: Any, kwargs: Mapping[str, Any]) -> int:
    """Count the numbers in arguments that an operator writes over."""
    if not isinstance(func, OpOverload):
        return elements(args) + elements(kwargs)  # what runs inside may write anywhere
    given = Call.of(func, args, kwargs, None)
    return sum(elements(given[item.name]) for item in func._schema.arguments if item.is_write)


def _declared(
    name: str, formula: Declared, args: Any, kwargs: Mapping[str, Any], out: Any
) -> float:
    try:
        work = declared_flop(formula, args, kwargs, out)
    except Exception as error:
        raise InputError(
            f"the formula for the work of {name} failed ({reason(error)}); it gets the operator's "
            "arguments with shapes in place of tensors, and returns FLOP"
        ) from None
    if not is_number(work):
        found = type(work).__name__
    elif not math.isfinite(work) or work < 0:
        found = str(work)
    else:
        return float(work)
    raise InputError(
        f"the formula for the work of {name} returns {found}; it must return FLOP as a finite "
        "number >= 0"
    )
