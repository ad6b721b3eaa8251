"""The steps of a plan with a server and devices, with differential privacy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from splitopt.documents.checks import is_whole
from splitopt.training.model_parts.parts import Part, Pass
from splitopt.training.privacy.guard import clip_factors, entry_gradient, norms_of
from splitopt.training.privacy.per_sample import Gradients
from splitopt.training.schemes.client import Client, guard_of
from splitopt.training.wire.private import Told
from splitopt.training.wire.transport.errors import FrameError

SERVERS = 1
"""The place of the server's part in the chain of a device."""
_SAMPLES, _DIVISOR = "samples", "divisor"


def step_fields(samples: int, divisor: int) -> dict[str, int]:
    """Return what a device of a cluster is told with a gradient, see `step_privately`."""
    return {_SAMPLES: samples, _DIVISOR: divisor}


def step_privately(
    client: Client,
    part: Part,
    held: Pass | None,
    gradient: Tensor | None,
    samples: int,
    fields: Mapping[str, Any],
    norms: Sequence[Tensor] = (),
) -> Tensor:
    """Update a device's part by its samples' clipped gradients and noise.

    Parameters
    ----------
    held
        The batch inside the part; None for one without samples, which gets noise alone.
    gradient
        Of the mean loss with respect to what the part has sent.
    samples
        How many samples the batch has.
    fields
        What came with the gradient: of how many samples the loss is the mean, and by what the sum
        is divided, where these are not the batch's own.
    norms
        Of each sample's gradients in the parts of others that are covered too, each of shape
        (samples,); the norm that is clipped is over all.

    Returns
    -------
    By what each sample's gradients were multiplied, shape (samples,).

    Raises
    ------
    FrameError
        These are no numbers.
    """
    guard, own = guard_of(client), Gradients()
    whole, divisor = fields.get(_SAMPLES, samples), fields.get(_DIVISOR)
    if not is_whole(whole, 0) or not (divisor is None or is_whole(divisor, 1)):
        raise FrameError("a gradient of a number of samples that is none")
    if held is not None and gradient is not None:
        own = guard.gradients(part, held, gradient * whole)
    every = [*([norms_of(own)] if own else []), *norms]
    factors = clip_factors(every, guard.privacy.clip_norm) if every else torch.ones(samples)
    guard.release([part], own, samples, divisor, factors=factors)
    part.step()
    return factors


class Pending:
    """A batch in the server's part between its gradients and its step, for which factors are due.

    Parameters
    ----------
    client
        Whose batch it is.
    part
        The server's part.
    held
        The batch inside it.
    loss
        The mean loss.
    """

    def __init__(self, client: Client, part: Part, held: Pass, loss: Tensor) -> None:
        self.client, self.part, self.samples = client, part, len(held.result)
        guard = guard_of(client)
        wanted = torch.autograd.grad(loss, held.result)[0]
        self._own = guard.gradients(part, held, wanted * self.samples)
        self.gradient = entry_gradient(held, wanted)

    @property
    def norms(self) -> list[Tensor]:
        """Norms of each sample's gradients in this part; none where it trains nothing."""
        return [norms_of(self._own)] if self._own else []

    def step(self, told: Told) -> None:
        """Clip, add this party's own noise, and update the part."""
        guard_of(self.client).release(
            [self.part],
            self._own,
            self.samples,
            told.divisor,
            factors=told.factors,
            holder=SERVERS,
            deviation=told.deviation,
        )
        self.part.step()


def step_on_noise(client: Client, part: Part) -> None:
    """Update the server's part for a batch of a device that has no sample: by noise alone."""
    guard_of(client).release([part], {}, 0, holder=SERVERS)
    part.step()
