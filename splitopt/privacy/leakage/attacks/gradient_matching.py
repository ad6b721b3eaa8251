"""Inputs whose gradient of the server part is that which the server computed: DP-MORA, Eq. 13-17.

Zhu, Liu and Han (2019) proposed it, Geiping et al. (2020) the cosine. The server knows the labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from splitopt.privacy.leakage.attacks.search import Search, reconstruct
from splitopt.privacy.leakage.victim import Victim


def match_gradients(
    victim: Victim, samples: Tensor, targets: Tensor, search: Search, seed: int, white: bool
) -> Tensor:
    """Reconstruct a batch from the gradient of the server part's parameters.

    Parameters
    ----------
    victim
        The model.
    samples, targets
        Shape (n, ...), n >= 1: the batch whose mean gradient the server has. Its values serve to
        compute what the server received, and for nothing else.
    search, seed
        How inputs are searched for.
    white
        Whether the server has the client part, as where one server plays both; otherwise it
        starts from weights of its own and learns them.

    Returns
    -------
    Inputs, of the shape of `samples`; the order of samples with one label is arbitrary.
    """
    wanted = victim.server_gradients(samples, targets)
    trained = victim.trained()

    def objective(client: nn.Module, inputs: Tensor) -> Tensor:
        loss = victim.loss(victim.server(client(inputs)), targets)
        found = torch.autograd.grad(loss, trained, create_graph=True, allow_unused=True)
        return _distance([gradient for gradient in found if gradient is not None], wanted)

    return reconstruct(victim, objective, samples, search, seed, white)


def _distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Return 1 - the cosine of two lists of gradients taken as one vector each."""
    both = torch.stack([(one * two).sum() for one, two in zip(found, wanted, strict=True)]).sum()
    own = torch.stack([one.square().sum() for one in found]).sum()
    other = torch.stack([two.square().sum() for two in wanted]).sum()
    return 1 - both / (own * other).clamp_min(torch.finfo(own.dtype).tiny).sqrt()
