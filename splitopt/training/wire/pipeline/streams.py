"""A client's random numbers on their way through a pipeline.

Layers such as dropout draw from the client's stream wherever they are, so that its state has to go
with the batch. It is sent ahead of a message, at no cost to the planned link, whenever the next
party does not know it yet; without layers that draw it never is.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from splitopt.training.randomness import Stream
from splitopt.training.wire.transport.channel import Channel
from splitopt.training.wire.transport.errors import FrameError
from splitopt.training.wire.transport.frames import Message

STREAM = "stream"


class StreamLink:
    """What the next party knows of a client's stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._known = _copy(stream)

    def send(self, channel: Channel, fields: Mapping[str, int]) -> None:
        """Send the next party the state, unless it knows it; the fields say whose it is."""
        state = self._stream.state_dict()
        if all(torch.equal(state[name], self._known[name]) for name in state):
            return
        self._known = _copy(self._stream)
        channel.send(STREAM, fields, state)


def take_stream(message: Message, stream: Stream) -> None:
    """Go on with a state that came.

    Raises
    ------
    FrameError
        It is none.
    """
    own = stream.state_dict()
    fine = message.tensors.keys() == own.keys() and all(
        message.tensors[name].shape == value.shape and message.tensors[name].dtype == value.dtype
        for name, value in own.items()
    )
    if not fine:
        raise FrameError("a random state of another shape or type than here")
    stream.load_state_dict(dict(message.tensors))


def _copy(stream: Stream) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in stream.state_dict().items()}
