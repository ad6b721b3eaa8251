"""The server's part learns from a mini-batch of one device, for the time that is planned for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from splitopt.training.codecs.crossing import DOWN, UP
from splitopt.training.model_parts.copies import tensor_bytes
from splitopt.training.schemes.base import finite_loss
from splitopt.training.schemes.shared_server import SharedServer
from splitopt.training.schemes.tally import Traffic
from splitopt.training.wire.compute import COMPUTE

if TYPE_CHECKING:
    from splitopt.training.model_parts.parts import Part
    from splitopt.training.wire.star.server import Arrived, Server


class Learned(NamedTuple):
    """What came of a mini-batch.

    Parameters
    ----------
    loss, samples
        The mean loss, and of how many samples.
    gradient
        Of the smashed data; None where nothing of the device's part is trained.
    before
        The client's random state before the server's layers have drawn from it.
    """

    loss: float
    samples: int
    gradient: Tensor | None
    before: Tensor


def learn(server: Server, n: int, batch: int, one: Arrived, part: Part) -> Learned:
    """Train a part on what client n has sent, and wait until the planned time is over.

    Raises
    ------
    TrainingError
        The loss is not a finite number.
    """
    client, scheme = server.scheme.clients[n], server.scheme
    before, samples = client.stream.state, len(one.targets)
    with server.computing(n, batch, one.moment_s, samples), COMPUTE:
        if isinstance(scheme, SharedServer):
            part.instead = scheme.tied_of(client)
        held = part.forward(one.smashed, client.stream)
        loss = scheme.criterion(held.result, one.targets)
        found = finite_loss(loss, client)
        loss.backward()  # type: ignore[no-untyped-call]
        gradient = held.gradient
        part.step()
    return Learned(found, samples, gradient, before)


def note_batch(server: Server, n: int, one: Arrived, found: Learned, traffic: Traffic) -> None:
    """Count the bytes that a mini-batch has sent, labels included."""
    crossing = server.scheme.clients[n].crossing
    traffic.smashed += crossing.size(UP, one.smashed)
    if found.gradient is not None:
        traffic.gradient += crossing.size(DOWN, found.gradient)
    traffic.label += tensor_bytes(one.targets)
