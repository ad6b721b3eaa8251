"""Inputs whose smashed data are those that the server received.

Mahendran and Vedaldi (2015) for a client part that is known; where it is not, its weights are
learned along with the inputs: Erdogan, Kupcu and Cicek (2022).
"""

from __future__ import annotations

from torch import Tensor, nn

from splitopt.privacy.leakage.attacks.search import Search, reconstruct
from splitopt.privacy.leakage.victim import Victim


def invert_features(
    victim: Victim, samples: Tensor, search: Search, seed: int, white: bool
) -> Tensor:
    """Reconstruct samples from their smashed data.

    Parameters
    ----------
    victim
        The model.
    samples
        Shape (n, ...). Their values serve to compute what the server received.
    search, seed
        How inputs are searched for.
    white
        Whether the attacker has the client part.

    Returns
    -------
    Inputs, of the shape of `samples`, in their order.
    """
    wanted = victim.smashed(samples).flatten(1)
    size = wanted.square().mean(dim=1).clamp_min(1e-12)

    def objective(client: nn.Module, inputs: Tensor) -> Tensor:
        smashed: Tensor = client(inputs)
        error = (smashed.flatten(1) - wanted).square().mean(dim=1)
        return (error / size).sum()

    return reconstruct(victim, objective, samples, search, seed, white)
