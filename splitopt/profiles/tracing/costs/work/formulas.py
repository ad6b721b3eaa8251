"""The work of one run of an operator, in FLOP.

Formulas that a user declares come first, then those here, then those of PyTorch's own registry,
``torch.utils.flop_counter``, where ``register_flop_formula`` enters those of a user's operators.
That registry is read and never written.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import flop_counter

from splitopt.profiles.tracing.costs.work.attention import ATTENTION
from splitopt.profiles.tracing.costs.work.calls import Call, tensors_of
from splitopt.profiles.tracing.costs.work.products import PRODUCTS
from splitopt.profiles.tracing.costs.work.recurrent import RECURRENT

FLOP_PER_MAC = 2
_COMPLEX = 4
"""Real multiply-accumulates in one of complex numbers."""

_MACS = {**PRODUCTS, **ATTENTION, **RECURRENT}

Declared = Callable[..., Any]
"""A formula as ``register_flop_formula`` takes it: shapes in place of tensors, to FLOP."""


def _transform(call: Call) -> float:
    """Return the FLOP of fast Fourier transforms: 5 N log2 N each, half of it if one side is real.

    The count by which implementations are compared, benchFFT (Frigo and Johnson, 2005).
    """
    given, out = call["self"], call.out
    whole = given if given.numel() >= out.numel() else out
    points = math.prod(whole.shape[axis] for axis in call["dim"])
    per_value = 5.0 if given.is_complex() and out.is_complex() else 2.5
    return per_value * int(whole.numel()) * math.log2(max(points, 1))


_FLOP = {f"aten::_fft_{kind}": _transform for kind in ("r2c", "c2r", "c2c")}


def name_of(operator: Any) -> str:
    """Return the name of an operator without its overload, such as ``aten::mm``."""
    schema = getattr(operator, "_schema", None)
    return f"higher_order::{operator.name()}" if schema is None else str(schema.name)


def has_formula(operator: Any) -> bool:
    """Return whether PyTorch or this package knows the work of an operator."""
    name = name_of(operator)
    return name in _MACS or name in _FLOP or _packet(operator) in flop_counter.flop_registry


def flop_of(operator: Any, args: Any, kwargs: Mapping[str, Any], out: Any) -> float | None:
    """Return the FLOP of one run; None if there is no formula, or none for such tensors.

    Formulas are for dense tensors: what a sparse one saves is known to its kernel alone.
    """
    if any(item.layout is not torch.strided for item in tensors_of((args, kwargs))):
        return None
    name = name_of(operator)
    try:
        if name in _FLOP:
            return float(_FLOP[name](Call.of(operator, args, kwargs, out)))
        if name in _MACS:
            macs = _MACS[name](Call.of(operator, args, kwargs, out))
            return float(macs * FLOP_PER_MAC * _width(out))
        formula = flop_counter.flop_registry.get(_packet(operator))
        return None if formula is None else float(formula(*args, **kwargs, out_val=out))
    except (RuntimeError, AssertionError, LookupError, TypeError, ValueError):
        return None  # an operator on tensors that its formula is not made for


def broadcast_product(name: str, args: Any, out: Any) -> int:
    """Return the entries of a multiplication of two tensors of which neither has the other's shape.

    It is a product of tensors, as a matrix product over one index is; where one operand has the
    shape of the result, the other scales it number by number.
    """
    if name != "aten::mul" or not all(isinstance(item, Tensor) for item in (*args[:2], out)):
        return 0
    entries = int(out.numel())
    return entries if entries > max(args[0].numel(), args[1].numel()) else 0


def declared_flop(formula: Declared, args: Any, kwargs: Mapping[str, Any], out: Any) -> Any:
    """Call a declared formula on shapes as PyTorch's counter does; ``out_shape`` is optional."""
    if getattr(formula, "_get_raw", False):
        return formula(*args, **kwargs, out_val=out)
    shapes, named = _shapes(tuple(args)), {key: _shapes(value) for key, value in kwargs.items()}
    if _takes(formula, "out_shape"):
        named["out_shape"] = _shapes(out)
    return formula(*shapes, **named)


def _shapes(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.shape
    if isinstance(value, list | tuple):
        return type(value)(_shapes(item) for item in value)
    return value


def _takes(formula: Declared, name: str) -> bool:
    try:
        parameters = inspect.signature(formula).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(item.name == name or item.kind is item.VAR_KEYWORD for item in parameters)


def _packet(operator: Any) -> Any:
    return getattr(operator, "_overloadpacket", operator)


def _width(out: Any) -> int:
    first = next(tensors_of(out), None)
    return _COMPLEX if first is not None and first.is_complex() else 1
