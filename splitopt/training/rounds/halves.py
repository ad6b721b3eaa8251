"""The common model as two servers test it: one has its client part, the other its server part."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from splitopt.training.data.named import Inputs, arguments_of
from splitopt.training.model_parts.modes import evaluating
from splitopt.training.rounds.evaluate import BATCH
from splitopt.training.schemes import Scheme


class Halves:
    """Both parts of the common model, which share its tensors.

    Parameters
    ----------
    scheme
        Its clients share one cut.

    Attributes
    ----------
    client, server
        The modules of its parts, without a noise layer.
    """

    def __init__(self, scheme: Scheme) -> None:
        split = scheme.split if scheme.noise is None else scheme.noise.without(scheme.split)
        self.client, self.server = split(scheme.model, scheme.clients[0].cuts)

    def batches(self, inputs: Inputs) -> Iterator[Tensor]:
        """Yield what the client part makes of inputs, in evaluation mode, in batches of a test."""
        place = next((tensor.device for tensor in self.client.parameters()), torch.device("cpu"))
        for first in range(0, len(inputs), BATCH):
            with evaluating(self.client), torch.no_grad():
                found: Tensor = self.client(*arguments_of(inputs[first : first + BATCH].to(place)))
            yield found

    def smashed(self, inputs: Inputs) -> Tensor:
        """Return what the client part makes of all inputs."""
        return torch.cat(list(self.batches(inputs)))
