"""What the parties of a pipeline send back at the end of a round, checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from splitopt.training.model_parts.copies import Copy
from splitopt.training.schemes.base import Client, under
from splitopt.training.wire.client_state import check_batches, expect_like
from splitopt.training.wire.encoded import check_left_out
from splitopt.training.wire.pipeline.held import check_held
from splitopt.training.wire.pipeline.messages import senders_of_owner, sent_bytes
from splitopt.training.wire.recorder import read_rows
from splitopt.training.wire.transport.errors import ChannelError, FrameError
from splitopt.training.wire.transport.frames import Message


def wrong_state(message: Message, owner: tuple[Client, Copy] | None) -> str | None:
    """Report what is wrong with the state that a party has sent, None if it can be used.

    Parameters
    ----------
    message
        With the rows of what was measured.
    owner
        The client with the parts that it holds, None for a node.
    """
    try:
        read_rows(message.fields.get("rows"))
        sent_bytes(message)
        if owner is not None:
            _check_owner(*owner, dict(message.tensors))
    except (ValueError, ChannelError) as error:
        return str(error)
    return None


def _check_owner(client: Client, held: Copy, tensors: Mapping[str, Tensor]) -> None:
    """Raise `FrameError` if tensors are not what an owner of these parts comes to."""
    losses = tensors.get("losses")
    if losses is None or losses.dtype != torch.float64 or losses.shape[1:] != (2,):
        raise FrameError("losses that are no numbers")
    check_held(held, under(dict(tensors), "held."))
    check_batches(under(dict(tensors), "batches."), client)
    expect_like(under(dict(tensors), "stream."), client.stream.state_dict(), "the random state")
    known = client.crossing.keys_of(len(client.cuts))
    senders = set(known) & set(senders_of_owner(len(client.cuts) - 1))
    check_left_out(under(dict(tensors), "crossing."), senders)
