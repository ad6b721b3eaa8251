"""Differential privacy over connections: what a party does by itself, and what it is told.

Clipping, noise and the choice of a batch are the device's own, from random numbers that never leave
its process. All that comes from the server is used before the clipping or after the noise, or makes
the noise larger: no word of it can make a sample count for more in the device's own parts.

Where the parts of others are covered too, these clip and add noise there, from random numbers that
never leave *their* processes. One norm over all parts needs two words for each sample: its norm in
the parts of others on the way to the device, and the factor of all on the way back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from splitopt.documents.checks import is_number, is_whole
from splitopt.training.privacy.batches import Exposures
from splitopt.training.privacy.guard import Guard
from splitopt.training.schemes.client import Client
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import Message

PLANNED = "private_batches"
"""Field of the word to begin: for how many batches in all the noise is, where there is a target."""
NORMS, FACTORS = "norms", "factors"
"""Messages with the norm of each sample's gradients in parts of others, and its factor in all."""
_MOST = 2**53


def covers_all(client: Client) -> bool:
    """Return whether privacy covers the parts that others hold for a client as well."""
    return client.guard is not None and client.guard.privacy.covers == "model"


def planned_field(client: Client) -> dict[str, int]:
    """Return what a device is told of the batches that its noise is for."""
    guard = client.guard
    return {} if guard is None or guard.planned is None else {PLANNED: guard.planned}


def plan_noise(client: Client, fields: Mapping[str, Any]) -> None:
    """Find the device's noise for its target, once, from the batches that it is told of.

    Fewer of them would make the noise smaller, but it is spent after them: the device draws no
    batch beyond.

    Raises
    ------
    FrameError
        It is told no number, or another one than before.
    """
    guard = client.guard
    if guard is None or guard.privacy.target_epsilon is None:
        return
    batches = fields.get(PLANNED)
    if not is_whole(batches, 1) or batches > _MOST:
        raise FrameError("a round without the number of batches that noise is for")
    if guard.planned is None:
        guard.plan(batches)
    elif guard.planned != batches:
        raise FrameError("a round with another number of batches that noise is for than before")


def count_lost(client: Client, batches: int) -> None:
    """Count all batches of a round for a device that was dropped: what it did, nobody says."""
    if isinstance(client.batches, Exposures):
        client.batches.spend(batches)


def largest_batch(client: Client) -> float:
    """Return how many times its batch size a batch may be: by chance it has all samples."""
    batches = client.batches
    if isinstance(batches, Exposures) and batches.sampling == "poisson":
        return max(1.0, batches.samples / batches.size)
    return 1.0


def as_norms(norms: Sequence[Tensor], samples: int) -> dict[str, Tensor]:
    """Return norms in parts, each of shape (samples,), as the tensors of a message."""
    return {NORMS: torch.stack([*norms]) if norms else torch.empty(0, samples)}


def norms_in(message: Message, samples: int) -> list[Tensor]:
    """Read the norms of a batch's samples in the parts of others.

    Raises
    ------
    FrameError
        They are no norms, or of another number of samples.
    """
    found = message.tensors.get(NORMS)
    if (
        found is None
        or not found.is_floating_point()
        or found.shape[1:] != (samples,)
        or not bool((torch.isfinite(found) & (found >= 0)).all())
    ):
        raise FrameError("norms of gradients that are none, or of another number of samples")
    return list(found)


class Told(NamedTuple):
    """What those who hold parts for a device need to know of its step.

    Parameters
    ----------
    factors
        By what the gradients of each sample are multiplied, shape (samples,).
    deviation
        The standard deviation of the noise of their sum.
    divisor
        By what the sum is divided.
    """

    factors: Tensor
    deviation: float
    divisor: int

    @classmethod
    def of(cls, guard: Guard, factors: Tensor) -> Told:
        """Return what a device says of a batch of its own."""
        samples = len(factors)
        return cls(factors, guard.deviation(samples), guard.batches.counted(samples))

    def fields(self) -> dict[str, Any]:
        """Return the fields of the message."""
        return {"deviation": float(self.deviation), "divisor": self.divisor}

    def tensors(self) -> dict[str, Tensor]:
        """Return its tensors."""
        return {FACTORS: self.factors}

    @classmethod
    def read(cls, message: Message, samples: int) -> Told:
        """Read it from a message, for a batch of so many samples.

        Raises
        ------
        FrameError
            It is something else.
        """
        factors, fields = message.tensors.get(FACTORS), message.fields
        deviation, divisor = fields.get("deviation"), fields.get("divisor")
        if (
            factors is None
            or not factors.is_floating_point()
            or factors.shape != (samples,)
            or not bool(((factors >= 0) & (factors <= 1)).all())
        ):
            raise FrameError("factors of samples that are none, or of another number of them")
        if not (is_number(deviation) and 0 <= deviation < math.inf and is_whole(divisor, 1)):
            raise FrameError("a word on noise that is none")
        return cls(factors, float(deviation), divisor)
