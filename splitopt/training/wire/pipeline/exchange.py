"""The end of a round: the owners' parts of the model go to rank 0, and their average comes back.

Uploads are side by side, each when its owner has done its last batch. When all have come, the
average goes to one owner after the other, as the simulator has it. A message takes as long as the
plan says, whatever else travels in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from torch import Tensor

from splitopt.training.model_parts.copies import tensor_bytes
from splitopt.training.wire.pipeline.timing import PipelineTiming
from splitopt.training.wire.recorder import Recorder, Row
from splitopt.training.wire.transport.frames import Transfer
from splitopt.training.wire.transport.links import KernelLink, link_of
from splitopt.training.wire.transport.pacing import Bucket, pad_until

Link: TypeAlias = Bucket | KernelLink | None


def link_for(tensors: Mapping[str, Tensor], seconds: float) -> Link:
    """Return a link over which these tensors take so long; None, as fast as can be, for 0 s."""
    size = sum(tensor_bytes(value) for value in tensors.values())
    return link_of(size / seconds) if seconds > 0 and size else None


def give_back(
    timing: PipelineTiming,
    batches: Mapping[int, int],
    arrived: Mapping[int, Transfer],
    average_of: Callable[[int], Mapping[str, Tensor]],
    send: Callable[[int, Mapping[str, Tensor], Link], object],
) -> Sequence[Row]:
    """Send each owner its parts of the average, and return the rows of both ways.

    Parameters
    ----------
    batches
        The last batch of each owner that has done its round.
    arrived
        When the parts of these owners came.
    average_of
        Gives the parts of an owner.
    send
        Sends them to an owner over a link.
    """
    plans, recorder = timing.exchanges, Recorder()
    if not plans or not batches:
        return []
    for n, batch in batches.items():
        sent = arrived[n]
        plans[n].upload.note(recorder, timing.owners[n], batch, sent.start_s, sent.end_s)
    pad_until(max(arrived[n].end_s + plans[n].delay_s for n in batches))
    for n, batch in batches.items():
        average, plan = average_of(n), plans[n]
        start_s = time.monotonic()
        send(n, average, link_for(average, plan.download.seconds))
        ends = start_s + plan.delay_s, time.monotonic() + plan.delay_s
        plan.download.note(recorder, timing.owners[n], batch, *ends)
    return recorder.take()
