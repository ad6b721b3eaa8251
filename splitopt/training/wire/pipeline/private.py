"""Differential privacy in a pipeline: the owner's steps, and those of a node for an owner.

An owner has the first part and the last one, and clips by one norm over both. Where the nodes'
parts are covered too, the norms there come along with the gradients, and the factor of each sample
goes the way of the next batch, ahead of it: a node makes its step before that batch is there, and
nobody waits for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from splitopt.training.model_parts.copies import Copy
from splitopt.training.model_parts.parts import Part, Pass
from splitopt.training.privacy.guard import clip_factors, entry_gradient, norms_of
from splitopt.training.privacy.per_sample import Gradients
from splitopt.training.schemes.client import Client, guard_of
from splitopt.training.wire.private import Told, as_norms, norms_in
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import Message


class OwnerSteps:
    """The steps of an owner, each in two halves: at the last part, and at the first one.

    Parameters
    ----------
    client
        The owner.
    held
        Its first and last part.

    Attributes
    ----------
    norms
        Of the batch's samples in the nodes' parts, in the order of the chain, once they have come.
    """

    def __init__(self, client: Client, held: Copy) -> None:
        self.client, self._parts = client, held.parts
        self.norms: list[Tensor] = []
        self._last: Gradients = {}

    def at_last(self, held: Pass, loss: Tensor) -> Tensor | None:
        """Go back through the last part, and return the gradient of what came in, if it is wanted.

        Parameters
        ----------
        held
            The batch inside the part.
        loss
            The mean of its samples' own losses.
        """
        guard = guard_of(self.client)
        wanted = torch.autograd.grad(loss, held.result)[0]
        self._last = guard.gradients(self._parts[-1], held, wanted * len(held.result))
        return entry_gradient(held, wanted)

    def at_first(self, held: Pass, gradient: Tensor | None) -> Told:
        """Go back through the first part, clip over all, add noise and update both parts.

        Parameters
        ----------
        held
            The batch inside the part.
        gradient
            Of the mean loss with respect to what the part has sent; None where nothing there is
            trained.

        Returns
        -------
        What those who hold the other parts need for the same step.
        """
        guard, samples = guard_of(self.client), len(held.result)
        first: Gradients = {}
        if gradient is not None:
            first = guard.gradients(self._parts[0], held, gradient * samples)
        norms = [
            *([norms_of(first)] if first else []),
            *self.norms,
            *([norms_of(self._last)] if self._last else []),
        ]
        factors = clip_factors(norms, guard.privacy.clip_norm) if norms else torch.ones(samples)
        self._release({**first, **self._last}, factors)
        self.norms, self._last = [], {}
        return Told.of(guard, factors)

    def on_noise(self) -> Told:
        """Update both parts for a batch that has no sample: by noise alone."""
        self._release({}, torch.empty(0))
        return Told.of(guard_of(self.client), torch.empty(0))

    def hear_norms(self, message: Message, samples: int) -> None:
        """Receive the norms of a batch in the nodes' parts."""
        self.norms = norms_in(message, samples)

    def _release(self, own: Gradients, factors: Tensor) -> None:
        guard_of(self.client).release(self._parts, own, len(factors), factors=factors)
        for part in self._parts:
            part.step()


class NodeSteps:
    """The steps of a node's part for one owner.

    Parameters
    ----------
    client
        The owner.
    part
        Its copy of the node's part.
    holder
        The place of the part in the owner's chain.
    """

    def __init__(self, client: Client, part: Part, holder: int) -> None:
        self.client, self._part, self._holder = client, part, holder
        self.forget()

    def forget(self) -> None:
        """Begin with a new batch."""
        self._own: Gradients = {}
        self._norms: list[Tensor] = []
        self._samples = 0

    def begin(self, samples: int) -> None:
        """Note of how many samples the batch is that went forward."""
        self.forget()
        self._samples = samples

    def hear_norms(self, message: Message) -> None:
        """Receive the norms of the batch in the parts behind this one."""
        self._norms = norms_in(message, self._samples)

    def backward(self, held: Pass, gradient: Tensor) -> Tensor | None:
        """Keep the gradients of each sample, and return that of what came in, if it is wanted."""
        own = guard_of(self.client).gradients(self._part, held, gradient * self._samples)
        self._own = own
        if own:
            self._norms = [norms_of(own), *self._norms]
        return entry_gradient(held, gradient)

    def norms(self) -> dict[str, Tensor]:
        """Return the norms in this part and those behind it, as the tensors of a message."""
        return as_norms(self._norms, self._samples)

    def step(self, message: Message) -> Told:
        """Clip, add this node's own noise, and update the part; return what the next node needs.

        Raises
        ------
        FrameError
            The word is of another batch, or the batch has not come back yet.
        """
        factors = message.tensors.get("factors")
        told = Told.read(message, 0 if factors is None or not len(factors) else self._samples)
        if self._own and not len(told.factors):
            raise FrameError("a batch without samples, before the step of the last one")
        guard_of(self.client).release(
            [self._part],
            self._own,
            len(told.factors),
            told.divisor,
            factors=told.factors,
            holder=self._holder,
            deviation=told.deviation,
        )
        self._part.step()
        self.forget()
        return told
