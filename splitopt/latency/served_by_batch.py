"""SplitFedV2 as its text says it: one server part that serves a batch of every client in turn.

The server keeps to an order of batches: in every turn it serves one batch of each client that still
has one, in the order of that turn. Its weights pass through the batches in exactly this sequence,
so that none is served before the one in front of it. All else happens as early as it can:

* the device part of the model goes down to all clients in the order of the first turn;
* a device computes a forward pass as soon as it has the model, or has taken the gradient of its
  batch before backward, and sends the smashed data, whether the server is free for it or not;
* a gradient goes down as soon as its batch is served;
* when all devices are done, their parts of the model go up.

Where devices share one downlink and one uplink, a message has all of the link, and messages take a
link in the order of service: one that is ready waits for those in front of it in that order. With
links of their own, devices wait for no other message.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitopt.latency.served_in_turn import (
    DEVICE,
    DOWNLOAD,
    SERVER,
    UPLOAD,
    ClientSeconds,
    FloatArray,
    after,
    arrivals,
    each_client,
    later,
    models_up,
)


def batch_fractions(samples: int, batch_size: int, epochs: int) -> list[float]:
    """Return every batch of a client's round as a fraction of the samples that pass in it."""
    full, rest = divmod(samples, batch_size)
    epoch = [batch_size] * full + [rest] * (rest > 0)
    return [size / (epochs * samples) for size in epoch * epochs]


def turns_of(
    batches: Sequence[int], orders: Sequence[Sequence[int]] | None = None
) -> list[list[int]]:
    """Return who is served in each turn.

    Parameters
    ----------
    batches
        How many batches each client has.
    orders
        Of each turn, those that take part in the order in which they are served: the same clients
        in all turns. All by their number if None.
    """
    everyone = range(len(batches))
    return [
        [n for n in (everyone if orders is None else orders[turn]) if batches[n] > turn]
        for turn in range(max(batches[n] for n in (everyone if orders is None else orders[0])))
    ]


def served_by_batch(
    clients: ClientSeconds,
    fractions: Sequence[Sequence[float]],
    shared_links: bool = True,
    orders: Sequence[Sequence[int]] | None = None,
) -> FloatArray:
    """Compute the round of clients whose batches are served in turn.

    Parameters
    ----------
    clients
        Arrays of shape (N, ...); further axes, such as cuts, are computed side by side. Their
        ``first`` and ``last`` do not count here.
    fractions
        Of each client, its batches as fractions of its round, see `batch_fractions`.
    shared_links
        Whether all clients share one downlink and one uplink, or each has its own.
    orders
        As for `turns_of`.

    Returns
    -------
    Shape (..., 4): seconds by `splitopt.latency.served_in_turn.PHASES` on the chain of tasks that
    ends last; they add up to the round.
    """
    own, shape = each_client(clients)
    turns = turns_of([len(parts) for parts in fractions], orders)
    begun = turns[0]  # every client has a first batch
    arrived = dict(
        zip(
            begun,
            arrivals([own[n].model_down for n in begun], shape, shared_links),
            strict=True,
        )
    )
    ready = {
        n: after(time, DEVICE, fractions[n][0] * own[n].forward) for n, time in arrived.items()
    }
    down_free, up_free = arrived[begun[-1]], np.zeros((*shape, 4))
    served, done = np.zeros((*shape, 4)), np.zeros((*shape, 4))
    for turn, order in enumerate(turns):
        for n in order:
            client, part = own[n], fractions[n][turn]
            sent = later(ready[n], up_free) if shared_links else ready[n]
            up_free = after(sent, UPLOAD, part * client.upload)
            served = after(later(up_free, served), SERVER, part * client.server)
            back = later(served, down_free) if shared_links else served
            down_free = after(back, DOWNLOAD, part * client.gradient)
            ready[n] = after(down_free, DEVICE, part * client.backward)
            if turn + 1 < len(fractions[n]):
                ready[n] = after(ready[n], DEVICE, fractions[n][turn + 1] * client.forward)
            else:
                done = later(done, ready[n])
    return models_up(done, [own[n].model_up for n in begun], shared_links)
