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
from splitopt.training.wire.dropping import late_on_failure
from splitopt.training.wire.private import FACTORS, NORMS, Told, as_norms, covers_all
from splitopt.training.wire.star.private import Pending, step_on_noise
from splitopt.training.wire.star.timing import BACKWARD, GRADIENT

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
    pending
        The step that waits for the device's word, where privacy covers the part; None for one that
        has been made.
    """

    loss: float
    samples: int
    gradient: Tensor | None
    before: Tensor
    pending: Pending | None = None


def learn(server: Server, n: int, batch: int, one: Arrived, part: Part) -> Learned:
    """Train a part on what client n has sent, and wait until the planned time is over.

    Where privacy covers the part its step is left to `step_with`.

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
        if covers_all(client):
            pending = Pending(client, part, held, loss)
            return Learned(found, samples, pending.gradient, before, pending)
        loss.backward()  # type: ignore[no-untyped-call]
        gradient = held.gradient
        part.step()
    return Learned(found, samples, gradient, before)


def give(server: Server, n: int, batch: int, learned: Learned) -> None:
    """Send a device the gradient of what it sent, and its samples' norms where they are wanted."""
    if learned.pending is not None:
        tensors = as_norms(learned.pending.norms, learned.samples)
        server.send(n, NORMS, GRADIENT, {}, tensors)
    server.give(n, learned.gradient, learned.before, batch)


def step_with(server: Server, n: int, learned: Learned) -> None:
    """Make the step of a part that privacy covers, as soon as the device has said how."""
    pending = learned.pending
    if pending is None:
        return
    client = server.scheme.clients[n]
    planned_s = server.planned.pieces[n][BACKWARD].seconds_for(client.batches.size)
    message = server.receive(n, FACTORS, BACKWARD, planned_s)
    with late_on_failure(BACKWARD):
        told = Told.read(message, learned.samples)
    with COMPUTE:
        pending.step(told)


def pass_over(server: Server, n: int, part: Part) -> None:
    """Make the step of a part for a batch that has no sample, by noise alone, if it is covered."""
    client = server.scheme.clients[n]
    if covers_all(client):
        with COMPUTE:
            step_on_noise(client, part)


def note_batch(server: Server, n: int, one: Arrived, found: Learned, traffic: Traffic) -> None:
    """Count the bytes that a mini-batch has sent, labels included."""
    crossing = server.scheme.clients[n].crossing
    traffic.smashed += crossing.size(UP, one.smashed)
    if found.gradient is not None:
        traffic.gradient += crossing.size(DOWN, found.gradient)
    traffic.label += tensor_bytes(one.targets)
