"""The distance correlation of two batches, as a number that gradients go through."""

from __future__ import annotations

import torch
from torch import Tensor

from splitopt.training.data.named import Inputs, arguments_of
from splitopt.training.model_parts.parts import Penalty


def distance_correlation(one: Tensor, other: Tensor) -> Tensor:
    """Compute the distance correlation of two batches with the same n samples, from 0 to 1.

    Szekely, Rizzo and Bakirov (2007), the V-statistic; distances are Euclidean, of flattened
    samples. 1 where the distances within both are proportional, 0 for a batch of equal samples. It
    has a gradient wherever samples differ; that of two equal samples counts as 0.

    Parameters
    ----------
    one, other
        Shape (n, ...), of the same type.
    """
    first, second = (_centred_distances(batch.flatten(1)) for batch in (one, other))
    shared = (first * second).mean()
    spread = (first.square().mean() * second.square().mean()).sqrt()
    if not (float(spread.detach()) > 0 and float(shared.detach()) > 0):
        return 0.0 * (first.sum() + second.sum())
    return (shared / spread).sqrt()


def nopeek(weight: float) -> Penalty:
    """Return the penalty of NoPeek: weight times the distance correlation of input and result.

    Vepakomma, Singh, Gupta and Raskar (2020), Eq. 1.
    """

    def penalty(entry: Inputs, result: Tensor) -> Tensor:
        inputs = torch.cat(
            [
                one.flatten(1).to(result.dtype)
                for one in arguments_of(entry)
                if isinstance(one, Tensor)
            ],
            dim=1,
        )
        return weight * distance_correlation(inputs, result)

    return penalty


def _centred_distances(batch: Tensor) -> Tensor:
    exact = "donot_use_mm_for_euclid_dist"  # the fast way loses half of the digits of small ones
    distances = torch.cdist(batch, batch, compute_mode=exact)
    rows = distances.mean(dim=1, keepdim=True)
    return distances - rows - rows.T + distances.mean()
