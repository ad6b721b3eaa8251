"""Differential privacy over connections: what a device does by itself, and what it is told.

Clipping, noise and the choice of a batch are the device's own, from random numbers that never leave
its process. All that comes from the server is used before the clipping or after the noise, or makes
the noise larger: no word of it can make a sample count for more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from splitopt.documents.checks import is_whole
from splitopt.errors import InputError
from splitopt.training.model_parts.parts import Part, Pass
from splitopt.training.preparing.prepare import Prepared
from splitopt.training.privacy.per_sample import Gradients
from splitopt.training.program import Program
from splitopt.training.schemes.client import Client, guard_of
from splitopt.training.wire.transport.errors import FrameError

PLANNED = "private_batches"
"""Field of the word to begin: for how many batches in all the noise is, where there is a target."""
_SAMPLES, _DIVISOR = "samples", "divisor"
_MOST = 2**53


def check_private(prepared: Prepared) -> None:
    """Check that what privacy covers can be clipped and noised by each device alone.

    Raises
    ------
    InputError
        It cannot.
    """
    scheme, program = prepared.scheme, prepared.program
    privacy = scheme.options.privacy
    if privacy is None:
        return
    if not _is_star(program):
        raise InputError.at(
            "privacy",
            f"on the wire is for plans with a server and devices, not for {program.scheme}; train "
            "without --wire",
        )
    if privacy.covers == "model" and any(client.cuts for client in scheme.clients):
        raise InputError.at(
            "covers",
            "is 'model', but on the wire no party sees a sample's gradient in both parts, which "
            "one norm clips; cover the client part, or train without --wire",
        )


def _is_star(program: Program) -> bool:
    return program.plays in ("splitfed_v1", "splitfed_v2", "vanilla", "clustered", "federated")


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
) -> None:
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
        guard.add(own, part, held, gradient * whole)
    guard.release([part], own, samples, divisor)
    part.step()
