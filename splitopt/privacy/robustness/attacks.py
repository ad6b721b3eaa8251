"""Attacks on expected scores: gradients averaged over noise draws, within a ball of L1 or L2.

Athalye et al. (2018), expectation over transformation. The changes are not kept within the range of
the data: the certificates are of any change.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from splitopt.training.privacy.pixel.operators import Norm

Model = Callable[[Tensor], Tensor]
"""From a batch to outputs, with noise drawn anew for every sample."""


def fgsm(
    model: Model, inputs: Tensor, targets: Tensor, radius: float, norm: Norm, draws: int = 20
) -> Tensor:
    """Compute one step of the whole radius in the steepest direction (Goodfellow et al. 2015)."""
    gradient = _gradient(model, inputs, targets, draws)
    return inputs + radius * _steepest(gradient, norm)


def pgd(
    model: Model,
    inputs: Tensor,
    targets: Tensor,
    radius: float,
    norm: Norm,
    steps: int = 20,
    draws: int = 20,
) -> Tensor:
    """Compute many steps, each brought back into the ball (Madry et al. 2018).

    Parameters
    ----------
    model
        Whose expected softmax of the right class is brought down.
    inputs, targets
        Shape (n, ...) and (n,).
    radius, norm
        Of the ball around each input.
    steps
        Of length 2.5 radius / steps, from the input itself.
    draws
        Over which each gradient is averaged.

    Returns
    -------
    Tensor
        The changed inputs.
    """
    change = torch.zeros_like(inputs)
    for _ in range(steps):
        gradient = _gradient(model, inputs + change, targets, draws)
        change = change + 2.5 * radius / steps * _steepest(gradient, norm)
        change = projected(change, radius, norm)
    return inputs + change


def projected(change: Tensor, radius: float, norm: Norm) -> Tensor:
    """Return the closest changes within the ball; L1 by Duchi et al. (2008), Figure 1."""
    flat = change.flatten(1)
    if norm == "l2":
        lengths = flat.norm(dim=1, keepdim=True).clamp_min(1e-30)
        shorter: Tensor = flat * (radius / lengths).clamp(max=1.0)
        return shorter.reshape(change.shape)
    sizes = flat.abs()
    ordered = sizes.sort(dim=1, descending=True).values
    places = torch.arange(1, flat.shape[1] + 1, dtype=flat.dtype, device=flat.device)
    over = (ordered.cumsum(dim=1) - radius) / places
    count = (ordered > over).sum(dim=1, keepdim=True).clamp_min(1)
    least = over.gather(1, count - 1).clamp_min(0.0)
    outside = sizes.sum(dim=1, keepdim=True) > radius
    shrunk = flat.sign() * (sizes - least).clamp_min(0.0)
    return torch.where(outside, shrunk, flat).reshape(change.shape)


def _gradient(model: Model, inputs: Tensor, targets: Tensor, draws: int) -> Tensor:
    """Return the gradient of -log of the expected probability of the right class."""
    point = inputs.detach().requires_grad_()
    repeated = point.repeat(draws, *[1] * (point.dim() - 1))
    scores = model(repeated).softmax(dim=1).reshape(draws, len(inputs), -1).mean(dim=0)
    chosen = scores.gather(1, targets[:, None].long()).clamp_min(1e-30)
    (found,) = torch.autograd.grad(-chosen.log().sum(), point)
    return found


def _steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """Return the change of norm 1 along which a linear function grows most; 0 where it is flat."""
    flat = gradient.flatten(1)
    if norm == "l2":
        unit: Tensor = flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-30)
        return unit.reshape(gradient.shape)
    place = flat.abs().argmax(dim=1, keepdim=True)
    step = torch.zeros_like(flat).scatter(1, place, flat.gather(1, place).sign())
    return step.reshape(gradient.shape)
