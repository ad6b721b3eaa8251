"""The losses of IoTSL's Eq. 6 and 7: a Wasserstein critic with a gradient penalty."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from splitopt.generators.sanitizing import image_gradients


def critic_loss(
    critic: nn.Module, real: Tensor, made: Tensor, labels: Tensor, mix: Tensor, penalty: float
) -> tuple[Tensor, float, float]:
    """Compute the critic's loss (Eq. 6).

    Parameters
    ----------
    critic
        Of images and labels.
    real, made
        Shape (n, channels, rows, columns): real samples, and generated ones of the same labels.
    labels
        Shape (n,).
    mix
        alpha, from 0 to 1, shape (n,): the share of the real sample in each one in between.
    penalty
        lambda.

    Returns
    -------
    The loss; the mean score of real less that of generated samples; and the mean norm of the
    gradient at the samples in between.
    """
    scores = critic(torch.cat([real, made]), torch.cat([labels, labels]))
    distance = scores[: len(real)].mean() - scores[len(real) :].mean()
    norms = gradient_norms(critic, real, made, labels, mix)
    loss = penalty * (norms - 1).square().mean() - distance
    return loss, float(distance.detach()), float(norms.detach().mean())


def gradient_norms(
    critic: nn.Module, real: Tensor, made: Tensor, labels: Tensor, mix: Tensor
) -> Tensor:
    """Compute the norm of the critic's gradient at each sample in between, shape (n,)."""
    share = mix[:, None, None, None]
    between = (share * real + (1 - share) * made).requires_grad_()
    (gradients,) = torch.autograd.grad(critic(between, labels).sum(), between, create_graph=True)
    # At a gradient of zero the norm has no derivative: the small number stands in for one.
    return (gradients.flatten(1).square().sum(dim=1) + 1e-12).sqrt()


def generator_gradients(critic: nn.Module, made: Tensor, labels: Tensor) -> Tensor:
    """Compute the gradient of each sample's own loss, -D(G(z|y)) (Eq. 7), at that sample."""
    return image_gradients(lambda images: -critic(images, labels), made)
