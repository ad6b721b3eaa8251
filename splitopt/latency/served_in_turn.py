"""SplitFedV2 as it is trained: one server part that serves client after client.

The server keeps to an order: it hands the device part of the model out to all clients, then serves
all batches of the first client, then all of the second one and so on, and at last collects the
device parts. Its weights pass through the batches in exactly this sequence, so that no client's
batch can be served before the last one of the client before it. Devices do what they can meanwhile:

* a device computes its first forward pass as soon as it has the model, before its turn;
* its turn begins with the upload of that batch; within a turn each batch is uploaded, served, its
  gradient downloaded and taken backward before the next forward pass, as the weights demand;
* the last gradient and the last backward pass of a client run beside the next client's turn;
* when all devices are done, their parts of the model go up.

Where devices share one downlink and one uplink, a message has all of the link, in the order in
which messages are there: the models down, in the order of service, and before the first gradient; a
client's last gradient before the first one of the next; at last the models up, one after the other.
With links of their own, devices wait for no other message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from splitopt.latency.split_federated import PhaseSeconds, task_fractions, task_seconds
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PHASES = ("download", "device", "upload", "server")
"""What the seconds of a round are divided among, in this order."""
DOWNLOAD, DEVICE, UPLOAD, SERVER = range(4)


class ClientSeconds(NamedTuple):
    """Seconds of every client's round at the full resource, arrays (N, ...) that broadcast.

    ``first`` and ``last`` are the fractions of the client's samples in its first and its last
    batch; both are 1 where it has one batch in all.
    """

    model_down: FloatArray
    forward: FloatArray
    upload: FloatArray
    server: FloatArray
    gradient: FloatArray
    backward: FloatArray
    model_up: FloatArray
    first: FloatArray
    last: FloatArray


def client_seconds(
    scenario: Scenario, profile: ModelProfile, phases: PhaseSeconds, columns: IntArray
) -> ClientSeconds:
    """Compute the seconds of every client at common cuts, from those of its phases.

    Parameters
    ----------
    phases
        Shape (N, L): seconds by device and cut at the full resource.
    columns
        0-based cuts, shape (K,): the seconds have shape (N, K).
    """
    tasks = task_seconds(phases.at(columns), task_fractions(scenario, profile, columns))
    epochs, fleet = scenario.training.epochs, scenario.fleet()
    sizes = [(device.samples, device.batch_size or device.samples) for device in fleet]
    # Of all epochs' samples; an epoch's last batch is a whole one if nothing remains.
    first = [size / (epochs * samples) for samples, size in sizes]
    last = [(samples % size or size) / (epochs * samples) for samples, size in sizes]
    return ClientSeconds(*tasks, first=np.array(first)[:, None], last=np.array(last)[:, None])


def served_in_turn(
    clients: ClientSeconds, shared_links: bool = True, order: Sequence[int] | None = None
) -> FloatArray:
    """Compute the round of clients that are served one after the other.

    Parameters
    ----------
    clients
        Arrays of shape (N, ...); further axes, such as cuts, are computed side by side.
    shared_links
        Whether all clients share one downlink and one uplink, or each has its own.
    order
        The clients that take part, in the order in which they are served; all by their number if
        None.

    Returns
    -------
    Shape (..., 4): seconds by `PHASES` on the chain of tasks that ends last; they add up to the
    round.
    """
    each, shape = each_client(clients)
    each = each if order is None else [each[n] for n in order]
    arrived = arrivals([client.model_down for client in each], shape, shared_links)
    served = np.zeros((*shape, 4))  # when the server is through with the clients so far
    link_free = arrived[-1]  # when the downlink is
    done = np.zeros((*shape, 4))
    for client, arrival in zip(each, arrived, strict=True):
        rest, single = 1.0 - client.first, client.first == 1.0
        begin = later(after(arrival, DEVICE, client.first * client.forward), served)
        begin = after(begin, UPLOAD, client.first * client.upload)
        begin = after(begin, SERVER, client.first * client.server)
        # The first gradient waits for messages that are on the shared downlink before it.
        back = later(begin, link_free) if shared_links else begin
        # From here on nobody else is waited for: first gradient to last server step ...
        inner = np.where(single, 0.0, 1.0 - client.last)
        end = after(back, DOWNLOAD, inner * client.gradient)
        end = after(end, DEVICE, inner * client.backward + rest * client.forward)
        end = after(end, UPLOAD, rest * client.upload)
        end = after(end, SERVER, rest * client.server)
        served = np.where(single[..., None], begin, end)
        # ... and the last gradient, beside which the next turn begins.
        link_free = after(end, DOWNLOAD, client.last * client.gradient)
        done = later(done, after(link_free, DEVICE, client.last * client.backward))
    return models_up(done, [client.model_up for client in each], shared_links)


def each_client(clients: ClientSeconds) -> tuple[list[ClientSeconds], tuple[int, ...]]:
    """Return the seconds of each client by itself, and the shape of the axes beside clients."""
    one = np.broadcast_arrays(*clients)
    each = [ClientSeconds(*(column[n] for column in one)) for n in range(len(one[0]))]
    return each, one[0].shape[1:]


def models_up(done: FloatArray, seconds: list[FloatArray], shared_links: bool) -> FloatArray:
    """Return when all parts of the model are up, of devices that are all done at a time."""
    ways_up = np.stack(seconds)
    return after(done, UPLOAD, ways_up.sum(axis=0) if shared_links else ways_up.max(axis=0))


def arrivals(
    model_down: list[FloatArray], shape: tuple[int, ...], shared_links: bool
) -> list[FloatArray]:
    """Return when each client has its part of the model."""
    found, time = [], np.zeros((*shape, 4))
    for seconds in model_down:
        base = time if shared_links else np.zeros((*shape, 4))
        time = after(base, DOWNLOAD, seconds)
        found.append(time)
    return found


def after(time: FloatArray, phase: int, seconds: FloatArray) -> FloatArray:
    """Return a time that is so many seconds of a phase later."""
    later = time.copy()
    later[..., phase] += seconds
    return later


def later(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return the later of two times, each the phases of a chain of tasks that ends then."""
    return np.where((one.sum(axis=-1) >= other.sum(axis=-1))[..., None], one, other)
