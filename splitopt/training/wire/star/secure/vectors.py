"""A device's part of the model as one vector, and the mean of such vectors as a part of the model.

Entries are integers modulo 2^64 that count units of 2^-32. Each is the entry of the model times the
weight of the device, rounded to the nearest, so that the mean over n devices of weights that add up
to W is within n / (2^33 W) of the mean of what they have, before it is rounded to the type of the
model. Whole numbers, such as counts of batches, become the whole number nearest to their mean.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from splitopt.secure_sum.fixed_point import Words, decode_words, encode_words
from splitopt.training.model_parts.averaging import load_state
from splitopt.training.model_parts.copies import Copy, Split
from splitopt.training.schemes.base import Client, Scheme
from splitopt.training.wire.transport.errors import FrameError


def averaged(own: Copy) -> dict[str, Tensor]:
    """Return what of a device's part is averaged, each tensor once."""
    state = own.model.state_dict(keep_vars=True)
    fixed = {id(state[name]) for name in own.fixed}
    found: dict[int, tuple[str, Tensor]] = {}
    for name, value in own.parts[0].module.state_dict(keep_vars=True).items():
        if id(value) not in fixed:
            found.setdefault(id(value), (name, value.detach()))
    return dict(found.values())


def entries(own: Copy) -> int:
    """Return how many numbers these are."""
    return sum(value.numel() for value in averaged(own).values())


def words_of(own: Copy, weight: float, summands: int) -> Words:
    """Return a device's part times its weight, shape (entries,).

    Raises
    ------
    TrainingError
        A number is not finite, or a sum of so many could wrap.
    """
    values = [value.reshape(-1).to("cpu", torch.float64) for value in averaged(own).values()]
    whole = torch.cat(values) if values else torch.empty(0, dtype=torch.float64)
    return encode_words(whole.numpy() * weight, summands)


def as_tensor(words: Words) -> Tensor:
    """Return words as they travel: integers of 64 bits."""
    return torch.from_numpy(words.view(np.int64))


def read_words(tensor: Tensor | None, count: int) -> Words:
    """Read words that came; raise `FrameError` where these are not so many."""
    if tensor is None or tensor.dtype != torch.int64 or tensor.shape != (count,):
        raise FrameError(f"a masked vector that is not of {count} integers of 64 bits")
    words: Words = tensor.contiguous().numpy().view(np.uint64)
    return words


def load_mean(part: nn.Module, own: Copy, total: Words, weight: float) -> None:
    """Load the sum of devices' vectors over their weights into a part of the common model.

    ``own`` is a copy of it, whose entries say what stands where in the vector.
    """
    mean, first, state = decode_words(total) / weight, 0, {}
    for name, value in averaged(own).items():
        piece = mean[first : first + value.numel()]
        first += value.numel()
        if not value.is_floating_point():
            piece = np.rint(piece)
        state[name] = torch.from_numpy(piece.copy()).reshape(value.shape).to(value.dtype)
    load_state(part, state)


def common_part(scheme: Scheme, client: Client) -> nn.Module:
    """Return the devices' part of the common model, which shares its tensors."""
    if client.cuts or isinstance(scheme.split, Split):
        return scheme.split(scheme.model, client.cuts)[0]
    return scheme.model
