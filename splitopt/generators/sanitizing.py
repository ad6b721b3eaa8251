"""Eq. 4 and 5 of IoTSL: the gradients that teach the generator, clipped and with noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from splitopt.generators.options import Sanitizing
from splitopt.training.privacy.entropy import Entropy


def image_gradients(loss: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Compute the gradient of each image's own loss at that image.

    Parameters
    ----------
    loss
        Gives a loss for each image, shape (n,), which rests on that image alone.
    images
        Shape (n, ...).
    """
    leaf = images.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(loss(leaf).sum(), leaf)
    return gradients


def teach(
    network: nn.Module,
    made: Tensor,
    gradients: Tensor,
    own: Sanitizing | None,
    entropy: Entropy | None,
) -> None:
    """Set the gradients of the generator's parameters, sanitised in one of the three readings.

    Parameters
    ----------
    network
        The generator, whose parameters have no gradients yet.
    made
        What it made, shape (n, ...), with its graph.
    gradients
        Of each sample's own loss at that sample, shape (n, ...).
    own, entropy
        How gradients are made private and what the noise is drawn from; None for as they are.
    """
    if own is not None and own.reading == "sample":
        gradients = _noisy(clipped_rows(gradients, own.clip), own, entropy)
    made.backward(gradients / len(made))  # type: ignore[no-untyped-call]
    if own is None or own.reading == "sample":
        return
    found = [parameter.grad for parameter in network.parameters()]
    flat = torch.cat([gradient.flatten() for gradient in found if gradient is not None])
    if own.reading == "batch":
        flat = clipped_rows(flat[None], own.clip)[0]
    else:
        flat = flat.clamp(-own.clip, own.clip)
    flat = _noisy(flat, own, entropy)
    begin = 0
    for gradient in found:
        assert gradient is not None  # every parameter is between the noise and the image
        end = begin + gradient.numel()
        gradient.copy_(flat[begin:end].view_as(gradient))
        begin = end


def clipped_rows(values: Tensor, most: float) -> Tensor:
    """Scale each row of values, shape (n, ...), down to a Euclidean norm of at most `most`."""
    norms = values.flatten(1).norm(dim=1)
    scale = 1 / torch.clamp(norms / most, min=1.0)
    return values * scale.view(-1, *[1] * (values.dim() - 1))


def _noisy(values: Tensor, own: Sanitizing, entropy: Entropy | None) -> Tensor:
    """Add Gaussian noise of standard deviation sigma C to each value."""
    if own.noise_multiplier == 0:
        return values
    assert entropy is not None
    return values + entropy.normal(values, own.noise_multiplier * own.clip)
