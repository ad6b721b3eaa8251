"""SplitFed's Eq. 4: a sensitivity read off the data, which is none."""

from __future__ import annotations

import torch
from torch import Tensor

from splitopt.training.privacy.pixel.operators import Norm


def empirical_sensitivity(inputs: Tensor, outputs: Tensor, norm: Norm) -> float:
    """Compute the largest difference quotient over pairs of samples: Eq. 4, from data alone.

    It is below the true sensitivity in general, since the direction in which a layer stretches most
    need not be one in which two samples differ. Noise made for it is not enough, and what is
    certified by it may be false.

    The equation as printed takes ``min A_{k,j}`` over no set, and divides by the distance to x_k, k
    being a client; the difference quotient of two samples is the reading in which all symbols mean
    something.

    Parameters
    ----------
    inputs, outputs
        Shape (n, ...) each, of the same samples. Equal inputs are left out.
    norm
        Of both.
    """
    power = 1.0 if norm == "l1" else 2.0
    exact = "donot_use_mm_for_euclid_dist"
    moved, apart = (
        torch.cdist(own.flatten(1).double(), own.flatten(1).double(), power, compute_mode=exact)
        for own in (outputs, inputs)
    )
    is_pair = apart > 0
    return float((moved[is_pair] / apart[is_pair]).max()) if bool(is_pair.any()) else 0.0
