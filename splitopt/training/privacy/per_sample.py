"""Gradients of a part's parameters, one for each sample of a batch."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from splitopt.training.data.named import arguments_of, changed
from splitopt.training.model_parts.parts import Part, Pass

Gradients = dict[nn.Parameter, Tensor]
"""Parameter -> its gradients, shape (samples, *shape of the parameter)."""


def per_sample_gradients(
    part: Part, held: Pass, gradient: Tensor, one_by_one: set[int]
) -> Gradients:
    """Return the gradient of each sample's own loss with respect to a part's trained parameters.

    Parameters
    ----------
    part
        A part in which no sample depends on another.
    held
        The batch inside it, of n >= 1 samples; its graph is left for another backward.
    gradient
        Row i: the gradient of the loss of sample i with respect to row i of the part's result.
    one_by_one
        Parts, by their ``id``, that have to go back once for each sample, to which those are added
        that turn out so: layers that draw random numbers, whose draws must be those of the forward
        pass, and layers that `torch.func.vmap` cannot call.
    """
    named = {name: p for name, p in part.module.named_parameters() if p.requires_grad}
    if not named or not held.result.requires_grad:
        return {p: p.new_zeros((len(gradient), *p.shape)) for p in named.values()}
    if id(part) not in one_by_one:
        try:
            found = _at_once(part, held, gradient, named)
            return {named[name]: value for name, value in found.items()}
        except RuntimeError:
            one_by_one.add(id(part))
    return _one_by_one(held.result, gradient, list(named.values()))


def _at_once(
    part: Part, held: Pass, gradient: Tensor, named: dict[str, nn.Parameter]
) -> dict[str, Tensor]:
    """Call the part for all samples side by side, each a batch of one."""
    batch = changed(held.entry, lambda value: value.detach().clone())  # layers may write in place
    given = arguments_of(batch)
    places = [n for n, one in enumerate(given) if isinstance(one, Tensor)]

    def own(values: dict[str, Tensor], wanted: Tensor, *row: Tensor) -> Tensor:
        arguments: list[Any] = list(given)
        for place, one in zip(places, row, strict=True):
            arguments[place] = one.unsqueeze(0)
        result = functional_call(part.module, values, tuple(arguments))
        if result.shape != (1, *wanted.shape):
            raise RuntimeError("a batch of one gives another shape")
        total: Tensor = (result * wanted.unsqueeze(0)).sum()
        return total

    each = (0,) * (1 + len(places))
    call = vmap(grad(own), in_dims=(None, *each), randomness="error")
    values = {name: value.detach() for name, value in named.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an operation is slow side by side
        found: dict[str, Tensor] = call(values, gradient, *(given[place] for place in places))
    return found


def _one_by_one(result: Tensor, gradient: Tensor, trained: list[nn.Parameter]) -> Gradients:
    """Go back through the batch's own graph once for each sample."""
    found = {p: p.new_zeros((len(gradient), *p.shape)) for p in trained}  # held once, not stacked
    for index in range(len(gradient)):
        wanted = torch.zeros_like(gradient)
        wanted[index] = gradient[index]
        each = torch.autograd.grad(result, trained, wanted, retain_graph=True, allow_unused=True)
        for parameter, one in zip(trained, each, strict=True):
            if one is not None:
                found[parameter][index] = one
    return found
