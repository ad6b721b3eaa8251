"""Which values of a chain are cuts, found by running it; the reasons why others are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.profiles.tracing.chain import Chain
from splitopt.profiles.tracing.example import Inputs, fresh, resized, tensors_in
from splitopt.profiles.tracing.finding import FEW, MANY
from splitopt.profiles.tracing.passes import Outcome, split_pass, whole_pass
from splitopt.profiles.tracing.quiet import SEED, reason

_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}


class DifferentError(Exception):
    """A chain does not compute what its module computes; the message says how they differ."""


@dataclass(frozen=True)
class Structure:
    """What the parts between neighbouring values of a chain are seen to do.

    Parameters
    ----------
    values
        The values that can be cut at by structure, and the last one; numbered from 1.
    copying
        Those of `values` behind which the next part works in place, so that it needs a copy.
    refused
        Value -> why it is no cut.
    """

    values: tuple[int, ...]
    copying: frozenset[int]
    refused: dict[int, str]


def structure(chain: Chain, module: nn.Module, inputs: Inputs) -> Structure:
    """Run each part of a chain once and see which values are tensors, tied or written over."""
    parts = [chain.part(value, value + 1) for value in range(chain.length)]
    refused = _tied(parts, module)
    few, writes = _walk(parts, resized(inputs, FEW))
    many, _ = _walk(parts, resized(inputs, MANY))
    for value, (one, two) in enumerate(zip(few, many, strict=True), start=1):
        if value == chain.length:
            continue
        if not isinstance(one, Tensor):
            refused[value] = f"it is a {type(one).__name__} and not one tensor"
        elif one.numel() * MANY != two.numel() * FEW:
            refused[value] = "its size does not grow with the batch"
    values = tuple(v for v in range(1, chain.length + 1) if v not in refused)
    return Structure(values, frozenset(v for v in values if v in writes), refused)


def check(
    module: nn.Module,
    build: Callable[[Sequence[int]], list[nn.Module]],
    found: Structure,
    inputs: Inputs,
    *,
    evaluate: bool = True,
) -> tuple[Structure, float]:
    """Compare split and whole: outputs and gradients in training, outputs in evaluation.

    All cuts are made at once, which checks each of them; if that differs, each is made alone and
    those that differ are refused.

    Returns
    -------
    The structure without the cuts that differ, and the largest relative difference of the others;
    0 where they are bit for bit the same.

    Raises
    ------
    InputError
        The module itself cannot be trained.
    DifferentError
        No cut is left of those that there were, or there was none and the chain differs.
    """
    batch = resized(inputs, FEW)
    module.train()
    try:
        whole = whole_pass(module, batch)
    except Exception as error:
        raise InputError(
            f"the model cannot be trained ({reason(error)}); mend its forward or backward pass"
        ) from None
    worst, problem = _compare(module, whole, build(found.values[:-1]), batch, evaluate)
    if problem is None:
        return found, worst
    if _apart(whole, whole_pass(module, batch)) > 0:
        raise DifferentError(
            "the model gives different gradients for the same input and random seed, so split "
            "and whole cannot be compared"
        )
    refused, worst = dict(found.refused), 0.0
    for value in found.values[:-1]:
        difference, problem = _compare(module, whole, build([value]), batch, evaluate)
        if problem is None:
            worst = max(worst, difference)
        else:
            refused[value] = problem
    values = tuple(v for v in found.values if v not in refused)
    if len(values) == 1:
        raise DifferentError(problem)
    return Structure(values, found.copying, refused), worst


def _compare(
    module: nn.Module,
    whole: Outcome,
    parts: list[nn.Module],
    batch: Inputs,
    evaluate: bool,
) -> tuple[float, str | None]:
    """Give the largest relative difference, and what is wrong with it."""
    tolerance = _TOLERANCES.get(whole.outputs[0].dtype, 1e-4)
    try:
        for part in parts:
            part.train()
        difference = _apart(whole, split_pass(parts, batch, module))
        if difference > tolerance:
            return difference, f"split and whole differ{_by(difference)} in a training pass"
        if evaluate:
            evaluated = _evaluated(module, parts, batch)
            if evaluated > tolerance:
                return evaluated, f"split and whole differ{_by(evaluated)} in evaluation mode"

    except Exception as error:
        return float("inf"), f"its part cannot run ({reason(error)})"
    return difference, None


def _by(difference: float) -> str:
    """Say how much, unless shapes or the sets of gradients differ already."""
    return f" by {difference:.2g} of the largest entry" if difference < float("inf") else ""


def _evaluated(module: nn.Module, parts: list[nn.Module], batch: Inputs) -> float:
    """Give the difference of the outputs in evaluation mode."""
    module.eval()
    for part in parts:
        part.eval()
    with torch.no_grad():
        torch.manual_seed(SEED)
        expected = Outcome(tuple(tensors_in(module(*fresh(batch)))), {})
        torch.manual_seed(SEED)
        first, *others = parts
        value = first(*fresh(batch))
        for part in others:
            value = part(value)
    module.train()
    return _apart(expected, Outcome(tuple(tensors_in(value)), {}))


def _apart(one: Outcome, two: Outcome) -> float:
    """Give the largest difference of a tensor, relative to its largest entry."""
    if len(one.outputs) != len(two.outputs) or set(one.gradients) != set(two.gradients):
        return float("inf")
    pairs = [*zip(one.outputs, two.outputs, strict=True)]
    pairs += [(one.gradients[key], two.gradients[key]) for key in one.gradients]
    worst = 0.0
    for a, b in pairs:
        if a.shape != b.shape:
            return float("inf")
        if a.numel() and not torch.equal(a, b):
            a, b = a.double(), b.double()
            scale = float(a.abs().max()) or 1.0
            worst = max(worst, float((a - b).abs().max()) / scale)
    return worst if worst == worst else float("inf")


def _tied(parts: Sequence[nn.Module], module: nn.Module) -> dict[int, str]:
    """Refuse the values that have a trained parameter on both sides."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    where: dict[int, tuple[str, set[int]]] = {}
    for index, part in enumerate(parts):
        for parameter in part.parameters():
            if parameter.requires_grad:
                key = parameter.untyped_storage()._cdata
                name = names.get(id(parameter), "a parameter")
                where.setdefault(key, (name, set()))[1].add(index)
    refused: dict[int, str] = {}
    for name, users in where.values():
        for value in range(min(users) + 1, max(users) + 1):
            refused.setdefault(
                value,
                f"the weight {name} is used on both sides (tied weights): each side would train "
                "its own copy",
            )
    return refused


def _walk(parts: Sequence[nn.Module], inputs: Inputs) -> tuple[list[Any], set[int]]:
    """Run the parts in turn; give their values, and those that the part behind writes over."""
    values: list[Any] = []
    written: set[int] = set()
    given: tuple[Any, ...] = fresh(inputs)
    with torch.no_grad():
        for index, part in enumerate(parts):
            before = [item._version for item in given if isinstance(item, Tensor)]
            result = part(*given)
            after = [item._version for item in given if isinstance(item, Tensor)]
            if before != after and index:
                written.add(index)
            values.append(result)
            given = (result,)
    return values, written
