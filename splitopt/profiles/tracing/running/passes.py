"""One training pass of a module, whole and split at given values, on the same batch and seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.profiles.tracing.running.example import Inputs, fresh, tensors_in
from splitopt.profiles.tracing.running.quiet import SEED

Meter = Callable[[int, str], AbstractContextManager[Any]]
"""Gives what is active around the ``"forward"`` or ``"backward"`` of a part (0 the first)."""


@dataclass(frozen=True)
class Outcome:
    """What a pass gave.

    Parameters
    ----------
    outputs
        The tensors that the module returned.
    gradients
        The gradient of every parameter that has one, by the parameter's id.
    crossing
        For a split pass, what the parts before the last gave.
    """

    outputs: tuple[Tensor, ...]
    gradients: dict[int, Tensor]
    crossing: tuple[Tensor, ...] = ()


def whole_pass(module: nn.Module, inputs: Inputs, meter: Meter | None = None) -> Outcome:
    """Run forward and backward through the module itself."""
    return split_pass([module], inputs, module, meter)


def split_pass(
    parts: Sequence[Callable[..., Any]],
    inputs: Inputs,
    module: nn.Module,
    meter: Meter | None = None,
) -> Outcome:
    """Run forward and backward through parts, cut off from each other as if over a network.

    What crosses is a tensor, or a tuple of some. A value that needs no gradient, since nothing
    before it is trained, sends none back. The gradient at the output is drawn from a fixed seed,
    since there is no loss.
    """
    around = meter or (lambda _part, _phase: nullcontext())
    _seed(inputs)
    entries: list[tuple[Tensor, ...]] = []
    results: list[Any] = []
    given: tuple[Any, ...] = fresh(inputs)
    for index, part in enumerate(parts):
        if index:
            given = tuple(map(_arrived, tensors_in(results[-1])))
            entries.append(given)
            if len(given) > 1:  # a part may work in place, which a leaf does not bear
                given = tuple(item.clone() for item in given)
        with around(index, "forward"):
            results.append(part(*given))
    outputs = tensors_in(results[-1])
    roots = [item for item in outputs if item.requires_grad]
    gradients: Sequence[Tensor] = [direction(item) for item in roots]
    for index in range(len(parts) - 1, -1, -1):
        with around(index, "backward"):
            if roots:
                torch.autograd.backward(roots, gradients)
        if index:
            pairs = zip(tensors_in(results[index - 1]), entries[index - 1], strict=True)
            wanted = [(result, entry) for result, entry in pairs if entry.requires_grad]
            roots = [result for result, _ in wanted]
            gradients = [_gradient(entry) for _, entry in wanted]
    found = {id(p): p.grad for p in module.parameters() if p.grad is not None}
    for parameter in module.parameters():
        parameter.grad = None
    detached = tuple(item.detach() for item in outputs)
    crossing = tuple(item.detach() for result in results[:-1] for item in tensors_in(result))
    return Outcome(detached, found, crossing)


def _arrived(value: Tensor) -> Tensor:
    """Return a value cut off from where it came from."""
    sent = value.detach()
    return sent.requires_grad_() if value.requires_grad else sent


def _gradient(entry: Tensor) -> Tensor:
    return torch.zeros_like(entry) if entry.grad is None else entry.grad


def _seed(inputs: Inputs) -> None:
    torch.manual_seed(SEED)
    if tensors_in(inputs)[0].device.type == "cuda":
        torch.cuda.manual_seed_all(SEED)


def direction(output: Tensor) -> Tensor:
    """Return a fixed gradient at an output: no two entries weigh the same by accident."""
    if output.device.type == "meta":
        return torch.empty_like(output)
    generator = torch.Generator().manual_seed(SEED)
    drawn = torch.randn(output.shape, generator=generator, dtype=torch.float64)
    return drawn.to(device=output.device, dtype=output.dtype)
