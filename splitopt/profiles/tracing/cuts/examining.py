"""Which values of a chain are cuts, found by running it; the reasons why others are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.errors import InputError
from splitopt.profiles.table.tied import REFUSED
from splitopt.profiles.tracing.cuts.chain import Chain
from splitopt.profiles.tracing.cuts.finding import FEW, MANY
from splitopt.profiles.tracing.cuts.packing import Layout
from splitopt.profiles.tracing.cuts.sharing import tied_refusals
from splitopt.profiles.tracing.running.example import Inputs, fresh, resized, tensors_in
from splitopt.profiles.tracing.running.passes import Outcome, split_pass
from splitopt.profiles.tracing.running.quiet import SEED
from splitopt.profiles.tracing.running.snapshot import Snapshot, strided
from splitopt.profiles.tracing.running.state import State, values_of, variants
from splitopt.user_code import reason

_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}
_NOTHING = State()


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


def structure(
    chain: Chain,
    module: nn.Module,
    inputs: Inputs,
    state: State = _NOTHING,
    tied: str = REFUSED,
) -> Structure:
    """Run each part of a chain once and see which values are tensors, tied or written over.

    ``tied`` says what is made of values between the uses of a trained weight, see `TIED`.
    """
    parts = [chain.part(value, value + 1) for value in range(chain.length)]
    refused = tied_refusals(parts, module, tied) | _written_elsewhere(parts, state.tensors(module))
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


def layouts(chain: Chain, values: Sequence[int], inputs: Inputs) -> dict[int, Layout]:
    """Return how several tensors are packed at those of some values where they are several.

    A training pass shows which of them have a gradient.
    """
    found = {}
    given: tuple[Any, ...] = fresh(resized(inputs, FEW))
    for first, last in pairwise((0, *values[:-1])):
        result = chain.part(first, last, apart=True)(*given)
        given = result if isinstance(result, tuple) else (result,)
        layout = chain.layout(last)
        if layout is not None:
            found[last] = layout.learning([item.requires_grad for item in given])
    return found


@dataclass(frozen=True)
class Runs:
    """What a module, or its parts, gave in passes one after the other.

    Parameters
    ----------
    passes
        Of training, and last one of evaluation if that was asked for.
    written
        The values of buffers after the training passes, and after all, by the names of them.
    """

    passes: tuple[Outcome, ...]
    written: tuple[Mapping[str, Tensor], ...]


def check(
    module: nn.Module,
    build: Callable[[Sequence[int]], list[nn.Module]],
    found: Structure,
    inputs: Inputs,
    before: Snapshot,
    state: State,
    *,
    evaluate: bool = True,
) -> tuple[Structure, float]:
    """Compare split and whole: outputs, gradients and buffers in training, outputs in evaluation.

    All cuts are made at once, which checks each of them; if that differs, each is made alone and
    those that differ are refused. Where forward writes buffers, several batches are trained with.
    The module begins from `before` each time, and has the values of that at the end.

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
    few = resized(inputs, FEW)
    batches = variants(few) if state.written and evaluate else (few,)

    def run(parts: list[nn.Module]) -> Runs:
        before.restore()
        before.drop_gradients()
        try:
            return _run(module, parts, batches, evaluate)
        finally:
            before.restore()
            before.drop_gradients()

    try:
        whole = run([module])
    except Exception as error:
        raise InputError(
            f"the model cannot be trained ({reason(error)}); mend its forward or backward pass"
        ) from None
    parts = build(found.values[:-1])
    if evaluate:
        _expect_homes(module, parts, whole.passes[0], state)
    worst, problem = _compare(whole, run, parts)
    if problem is None:
        return found, worst
    if _apart(whole.passes[0], run([module]).passes[0]) > 0:
        raise DifferentError(
            "the model gives different gradients for the same input and random seed, so split "
            "and whole cannot be compared"
        )
    refused, worst = dict(found.refused), 0.0
    for value in found.values[:-1]:
        difference, problem = _compare(whole, run, build([value]))
        if problem is None:
            worst = max(worst, difference)
        else:
            refused[value] = problem
    values = tuple(v for v in found.values if v not in refused)
    if len(values) == 1:
        raise DifferentError(problem)
    return Structure(values, found.copying, refused), worst


def _run(
    module: nn.Module, parts: Sequence[nn.Module], batches: Sequence[Inputs], evaluate: bool
) -> Runs:
    """Train with the batches in turn, and evaluate with the first."""
    _set_mode(module, parts, training=True)
    passes = [split_pass(parts, batch, module) for batch in batches]
    written = [values_of(module)] if evaluate else []
    if evaluate:
        _set_mode(module, parts, training=False)
        with torch.no_grad():
            torch.manual_seed(SEED)
            first, *others = parts
            value = first(*fresh(batches[0]))
            for part in others:
                value = part(value)
        passes.append(Outcome(tuple(tensors_in(value)), {}))
        written.append(values_of(module))
    return Runs(tuple(passes), tuple(written))


def _set_mode(module: nn.Module, parts: Sequence[nn.Module], *, training: bool) -> None:
    module.train(training)
    for part in parts:
        part.train(training)


def _expect_homes(
    module: nn.Module, parts: Sequence[nn.Module], whole: Outcome, state: State
) -> None:
    """Reject a chain of which no part holds a weight that learns, or a buffer that is written."""
    held = {id(p) for part in parts for p in (*part.parameters(), *part.buffers())}
    trained = {n: p for n, p in module.named_parameters() if id(p) in whole.gradients}
    for name, tensor in {**trained, **state.tensors(module)}.items():
        if id(tensor) not in held:
            raise DifferentError(
                f"{name} is used by a function among the stages, so that no part holds it; let a "
                "submodule that has it be the stage"
            )


def _compare(
    whole: Runs, run: Callable[[list[nn.Module]], Runs], parts: list[nn.Module]
) -> tuple[float, str | None]:
    """Return the largest relative difference, and what is wrong with it."""
    tolerance = _TOLERANCES.get(whole.passes[0].outputs[0].dtype, 1e-4)
    try:
        split = run(parts)
    except Exception as error:
        return float("inf"), f"its part cannot run ({reason(error)})"
    worst = 0.0
    for number, (one, two) in enumerate(zip(whole.passes, split.passes, strict=True)):
        last = number and number + 1 == len(whole.passes)
        difference = _apart(one, two)
        if difference > tolerance:
            where = "in evaluation mode" if last else "in a training pass"
            return difference, f"split and whole differ{_by(difference)} {where}{_HINT}"
        worst = max(worst, difference if not last else 0.0)
    for names, others in zip(whole.written, split.written, strict=True):
        for name, value in names.items():
            difference = _apart(Outcome((value,), {}), Outcome((others[name],), {}))
            if difference > tolerance:
                return difference, (
                    f"the buffer {name} is another one after split training than after whole"
                    f"{_by(difference)}; write it in the module that holds it"
                )
            worst = max(worst, difference)
    return worst, None


_HINT = (
    "; what the parts cannot see, such as autocast or a hook around the model, belongs into the "
    "layers"
)


def _by(difference: float) -> str:
    """Return how much, unless shapes or the sets of gradients differ already."""
    return f" by {difference:.2g} of the largest entry" if difference < float("inf") else ""


def _apart(one: Outcome, two: Outcome) -> float:
    """Return the largest difference of a tensor, relative to its largest entry."""
    if len(one.outputs) != len(two.outputs) or set(one.gradients) != set(two.gradients):
        return float("inf")
    pairs = [*zip(one.outputs, two.outputs, strict=True)]
    pairs += [(one.gradients[key], two.gradients[key]) for key in one.gradients]
    worst = 0.0
    for a, b in pairs:
        if a.shape != b.shape:
            return float("inf")
        a, b = strided(a), strided(b)
        if a.numel() and not torch.equal(a, b):
            a, b = a.double(), b.double()
            scale = float(a.abs().max()) or 1.0
            worst = max(worst, float((a - b).abs().max()) / scale)
    return worst if worst == worst else float("inf")


def _written_elsewhere(parts: Sequence[nn.Module], written: Mapping[str, Tensor]) -> dict[int, str]:
    """Reject the values that have a buffer on both sides which forward writes."""
    refused: dict[int, str] = {}
    for name, tensor in written.items():
        users = [
            index
            for index, part in enumerate(parts)
            if any(own is tensor for own in (*part.buffers(), *part.parameters()))
        ]
        for value in range(users[0] + 1, users[-1] + 1) if users else ():
            refused.setdefault(
                value,
                f"the buffer {name}, which forward writes, is used on both sides: each side would "
                "have its own",
            )
    return refused


def _walk(parts: Sequence[nn.Module], inputs: Inputs) -> tuple[list[Any], set[int]]:
    """Run the parts in turn; return their values, and those that the part behind writes over."""
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
