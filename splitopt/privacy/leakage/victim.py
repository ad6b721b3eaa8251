"""What is attacked: a model cut in two, and what a server receives of a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from splitopt.training.privacy.guard import each_loss

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Victim:
    """A model that is cut in two, in evaluation mode: dropout is off, normalisations are fixed.

    A gradient of a single sample has no batch to normalise by, and an attacker who knew the masks
    of dropout would only do better by what this leaves out.

    Parameters
    ----------
    client, server
        The parts before and behind the cut.
    loss
        The mean loss of a batch, from outputs and targets.
    low, high
        The least and the largest value of the data, which an attacker is taken to know.
    """

    client: nn.Module
    server: nn.Module
    loss: Loss
    low: float
    high: float

    @property
    def span(self) -> float:
        """The range of the data's values."""
        return self.high - self.low

    def smashed(self, samples: Tensor) -> Tensor:
        """Compute what crosses the cut."""
        with torch.no_grad():
            found: Tensor = self.client(samples)
        return found.detach()

    def server_gradients(self, samples: Tensor, targets: Tensor) -> list[Tensor]:
        """Compute the gradient of every trained parameter of the server part: Eq. 14 and 16."""
        smashed = self.smashed(samples)
        found = torch.autograd.grad(
            self.loss(self.server(smashed), targets), self.trained(), allow_unused=True
        )
        return [gradient for gradient in found if gradient is not None]

    def cut_gradients(self, samples: Tensor, targets: Tensor) -> Tensor:
        """Compute the gradient of each sample's own loss at the cut, shape as the smashed data."""
        smashed = self.smashed(samples).requires_grad_()
        total = each_loss(self.loss, self.server(smashed), targets).sum()
        return torch.autograd.grad(total, smashed)[0]

    def trained(self) -> list[nn.Parameter]:
        """List the parameters of the server part that are trained."""
        return [own for own in self.server.parameters() if own.requires_grad]

    def surrogate(self, seed: int) -> nn.Module:
        """Return the client part with weights drawn anew: what an attacker has who never saw it.

        The architecture is known. Layers that can reset themselves do so; other trained tensors
        are drawn from a normal distribution as wide as their fan-in asks for.
        """
        part = copy.deepcopy(self.client)
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            fresh: set[int] = set()
            for module in part.modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
                    fresh |= {id(own) for own in module.parameters(recurse=False)}
            for own in part.parameters():
                if id(own) not in fresh:
                    width = max(1, own[0].numel()) if own.dim() > 1 else 1
                    with torch.no_grad():
                        own.normal_(0.0, width**-0.5)
        for own in part.parameters():
            own.requires_grad_(True)
        return part.eval()
