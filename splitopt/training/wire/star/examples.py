"""What a device's part makes of one sample, by which the server checks what it is sent."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from splitopt.training.data.named import Inputs, arguments_of
from splitopt.training.model_parts.copies import Copy
from splitopt.training.schemes.base import Client, Scheme
from splitopt.training.wire.compute import COMPUTE
from splitopt.training.wire.transport.errors import FrameError

_LENGTH = "length"


def length_fields(client: Client, inputs: Inputs) -> dict[str, int]:
    """Return how many positions the samples of a batch have, where batches differ in that."""
    positions = client.batches.positions
    return {} if positions is None else {_LENGTH: positions.longest(inputs)}


class Examples:
    """Examples of all devices, each made when it is first asked for.

    Parameters
    ----------
    scheme
        Whose clients have the data, or examples of it.
    copy_of
        Returns a client's copy of its device's part.
    """

    def __init__(self, scheme: Scheme, copy_of: Callable[[int], Copy]) -> None:
        self._scheme, self._copy_of = scheme, copy_of
        self._smashed: dict[tuple[int, int | None], Tensor] = {}

    def length(self, n: int, fields: Mapping[str, Any]) -> int | None:
        """Read how many positions the samples of a batch have; None where all have as many.

        Raises
        ------
        FrameError
            It is no such number.
        """
        positions = self._scheme.clients[n].batches.positions
        if positions is None:
            return None
        value = fields.get(_LENGTH)
        if type(value) is not int or not 1 <= value <= positions.room:
            raise FrameError(f"a batch whose {_LENGTH} is {str(value)[:80]}")
        return value

    def smashed(self, n: int, length: int | None = None) -> Tensor:
        """Return what a device's part makes of one sample, of so many positions."""
        if (n, length) not in self._smashed:
            batches = self._scheme.clients[n].batches
            one = batches.inputs[:1]
            if length is not None and batches.positions is not None:
                one = batches.positions.shortened(one, length)
            with COMPUTE, torch.no_grad():
                part = copy.deepcopy(self._copy_of(n).parts[0].module).eval()
                self._smashed[n, length] = part(*arguments_of(one))
        return self._smashed[n, length]

    def targets(self, n: int, length: int | None = None) -> Tensor:
        """Return the targets of one sample, of so many positions."""
        batches = self._scheme.clients[n].batches
        known = batches.targets[:1]
        if length is None or batches.positions is None:
            return known
        return batches.positions.shortened_targets(known, length)
