"""What crosses a cut as tensors of a message, and what of it arrives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from splitopt.training.codecs.crossing import Crossing, Encoded, Way
from splitopt.training.wire.transport.errors import FrameError

_TIED = "tied."


def as_tensors(encoded: Encoded, name: str) -> dict[str, Tensor]:
    """Name the tensors of a message: ``name`` for one that goes as it is, else ``name.PART``."""
    if encoded.is_whole:
        return {name: encoded.tensors["values"]}
    return {f"{name}.{part}": value for part, value in encoded.tensors.items()}


def arrived(
    crossing: Crossing,
    way: Way,
    tensors: Mapping[str, Tensor],
    name: str,
    shape: Sequence[int],
    dtype: torch.dtype,
    cut: int = 0,
) -> Tensor:
    """Return what arrives of a tensor of this shape and dtype over a cut (0, 1, ...).

    Raises
    ------
    FrameError
        The tensors are not what the codec of this side writes for it.
    """
    is_whole = list(tensors) == [name]
    parts = {part.removeprefix(f"{name}."): value for part, value in tensors.items()}
    if is_whole:
        parts = {"values": tensors[name]}
    elif not all(part.startswith(f"{name}.") for part in tensors):
        raise FrameError(f"{name} with other entries than are due")
    try:
        return crossing.decode(way, Encoded(parts, tuple(shape), dtype, is_whole), cut)
    except ValueError as error:
        raise FrameError(f"{name}: {error}; start all parties with the same codec") from None


def as_tied(gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name the gradients of tied weights among the tensors of a message; they are never encoded."""
    return {f"{_TIED}{name}": value for name, value in gradients.items()}


def without_tied(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Divide the tensors of a message: what crosses, and the gradients of tied weights by name."""
    others = {name: value for name, value in tensors.items() if not name.startswith(_TIED)}
    return others, {
        name.removeprefix(_TIED): value for name, value in tensors.items() if name not in others
    }


def check_left_out(tensors: Mapping[str, Tensor], senders: Iterable[str]) -> None:
    """Raise `FrameError` if tensors are not what these senders keep of their messages."""
    known = set(senders)
    if not all(key in known and value.is_floating_point() for key, value in tensors.items()):
        raise FrameError("what was left out of messages, with entries that are unknown")
