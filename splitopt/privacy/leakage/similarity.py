"""How like a reconstruction is to the sample that it is of.

Every function takes batches of samples, shape (n, ...), and returns a number for each, shape (n,).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from splitopt.training.model_parts import dependence

_WINDOW = 7
"""Of the structural similarity, in pixels; smaller images take the largest odd window there is."""


def cosine(samples: Tensor, found: Tensor) -> Tensor:
    """Compute the cosine similarity of values as they are: DP-MORA, Eq. 18.

    It has a floor well above 0 where values are not negative: any two bright images point the same
    way. Compare it with the baselines.
    """
    return functional.cosine_similarity(samples.flatten(1), found.flatten(1), dim=1)


def centred_cosine(samples: Tensor, found: Tensor) -> Tensor:
    """Compute the cosine similarity of both after their own mean is taken off: the correlation."""
    own, other = samples.flatten(1), found.flatten(1)
    return functional.cosine_similarity(
        own - own.mean(dim=1, keepdim=True), other - other.mean(dim=1, keepdim=True), dim=1
    )


def psnr(samples: Tensor, found: Tensor, span: float) -> Tensor:
    """Compute the peak signal-to-noise ratio in decibels; `span` is the range of the data.

    An error of nothing counts as one of 10^-10 of the span, so that means stay finite: 200 dB.
    """
    error = (samples - found).flatten(1).square().mean(dim=1) / span**2
    return -10 * torch.log10(error.clamp_min(1e-20))


def ssim(samples: Tensor, found: Tensor, span: float) -> Tensor:
    """Compute the mean structural similarity of images, shape (n, channels, rows, columns).

    Wang, Bovik, Sheikh and Simoncelli (2004): windows of 7 x 7 with equal weights, variances with
    n - 1, constants .01 and .03; the mean over all windows that lie inside and all channels.
    """
    size = min(_WINDOW, *samples.shape[2:])
    size -= 1 - size % 2
    mean: Callable[[Tensor], Tensor] = lambda image: functional.avg_pool2d(image, size, 1)  # noqa: E731
    own, other = mean(samples), mean(found)
    unbiased = size**2 / max(1, size**2 - 1)
    own_variance = (mean(samples**2) - own**2) * unbiased
    other_variance = (mean(found**2) - other**2) * unbiased
    both = (mean(samples * found) - own * other) * unbiased
    low, high = (0.01 * span) ** 2, (0.03 * span) ** 2
    ratio = ((2 * own * other + low) * (2 * both + high)) / (
        (own**2 + other**2 + low) * (own_variance + other_variance + high)
    )
    mean_ratio: Tensor = ratio.flatten(1).mean(dim=1)
    return mean_ratio


def similarities(samples: Tensor, found: Tensor, span: float) -> Mapping[str, Tensor]:
    """Compute all measures that fit the samples, in float64; only images have an SSIM."""
    own, other = samples.double(), found.double()
    measures = {
        "cosine": cosine(own, other),
        "centred_cosine": centred_cosine(own, other),
        "psnr_db": psnr(own, other, span),
    }
    if samples.dim() == 4:
        measures["ssim"] = ssim(own, other, span)
    return measures


def distance_correlation(one: Tensor, other: Tensor) -> float:
    """Compute the distance correlation of two batches in float64.

    See `splitopt.training.model_parts.dependence.distance_correlation`.
    """
    return float(dependence.distance_correlation(one.double(), other.double()))
