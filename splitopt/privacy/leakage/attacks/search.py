"""The search for inputs that explain what was received, shared by the attacks that reconstruct."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from splitopt.privacy.leakage.victim import Victim

Objective = Callable[[nn.Module, Tensor], Tensor]
"""How badly inputs, through a client part, explain what was received: a scalar."""

_RATE = 0.1
_DROPS = (3 / 8, 5 / 8, 7 / 8)
"""Shares of the steps after which the rate falls to a tenth."""
_RATE_OF_WEIGHTS = 1e-3


@dataclass(frozen=True)
class Search:
    """How inputs are searched for.

    Signed gradients in Adam, with the rate .1 of the data's range that falls to a tenth three
    times, total variation, and values kept in the data's range: Geiping et al. (2020), whose
    objective is Eq. 17 of DP-MORA.

    Parameters
    ----------
    steps
        Of the optimizer.
    restarts
        Starts from other random inputs; the one that explains best is kept, whatever it looks like.
    smoothness
        The weight of the total variation, for images.
    """

    steps: int = 150
    restarts: int = 1
    smoothness: float = 1e-3


def reconstruct(
    victim: Victim, objective: Objective, like: Tensor, search: Search, seed: int, white: bool
) -> Tensor:
    """Search inputs for which an objective is least.

    Parameters
    ----------
    victim
        What is attacked: it says where inputs lie, and has the client part.
    objective
        What is minimised.
    like
        A batch whose shape and type the inputs get; its values are not looked at.
    search
        How.
    seed
        Of the random inputs at the start.
    white
        Whether the attacker has the client part. Otherwise one of fresh weights is learned along
        with the inputs, in turns: Erdogan, Kupcu and Cicek (2022).

    Returns
    -------
    Inputs, of the shape of `like`.
    """
    best, least = torch.empty_like(like), float("inf")
    for restart in range(search.restarts):
        client = victim.client if white else victim.surrogate(seed + restart)
        learned = [] if white else [own for own in client.parameters() if own.requires_grad]
        found, value = _one_start(
            partial(objective, client), victim, like, search, (seed, restart), learned
        )
        if value < least or restart == 0:
            best, least = found, value
    return best


def _one_start(
    objective: Callable[[Tensor], Tensor],
    victim: Victim,
    like: Tensor,
    search: Search,
    seeds: tuple[int, int],
    learned: Sequence[nn.Parameter],
) -> tuple[Tensor, float]:
    """Return the inputs that one start leads to, and their objective; `learned` are weights."""
    low, span = victim.low, victim.span
    generator = torch.Generator().manual_seed(seeds[0] * 1_000_003 + seeds[1])
    drawn = torch.rand(like.shape, generator=generator, dtype=torch.float64)
    inputs = (low + span * drawn).to(like.dtype).requires_grad_()
    optimizer = torch.optim.Adam([inputs], lr=_RATE * span)
    drops = [max(1, round(share * search.steps)) for share in _DROPS]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, drops, gamma=0.1)
    learner = torch.optim.Adam(learned, lr=_RATE_OF_WEIGHTS) if learned else None
    for _ in range(search.steps):
        value = objective(inputs) + search.smoothness * _variation(inputs)
        inputs.grad = torch.autograd.grad(value, inputs)[0].sign()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            inputs.clamp_(low, victim.high)
        if learner is not None:
            value = objective(inputs.detach())
            gradients = torch.autograd.grad(value, learned, allow_unused=True)
            for own, gradient in zip(learned, gradients, strict=True):
                own.grad = gradient
            learner.step()
    return inputs.detach(), float(objective(inputs).detach())


def _variation(inputs: Tensor) -> Tensor:
    """Sum, over the samples, the mean distance between neighbouring pixels of images."""
    if inputs.dim() != 4:
        return inputs.new_zeros(())
    pairs = [inputs.diff(dim=axis).abs() for axis in (2, 3) if inputs.shape[axis] > 1]
    own = [pair.flatten(1).mean(dim=1).sum() for pair in pairs]
    return torch.stack(own).sum() if own else inputs.new_zeros(())
