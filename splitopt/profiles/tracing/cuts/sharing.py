"""Trained weights that several parts of a chain use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from splitopt.profiles.table.tied import REFUSED


class Shared(NamedTuple):
    """A weight with its first name, and the numbers of the parts that use it, from 0."""

    name: str
    weight: nn.Parameter
    users: tuple[int, ...]


def shared_weights(parts: Sequence[nn.Module], module: nn.Module) -> list[Shared]:
    """Return the trained weights that several parts of a module use, in the order of its names."""
    users: dict[int, list[int]] = {}
    for index, part in enumerate(parts):
        for parameter in part.parameters():
            users.setdefault(id(parameter), []).append(index)
    return [
        Shared(name, parameter, tuple(users[id(parameter)]))
        for name, parameter in module.named_parameters()
        if parameter.requires_grad and len(users.get(id(parameter), ())) > 1
    ]


def tied_refusals(parts: Sequence[nn.Module], module: nn.Module, tied: str) -> dict[int, str]:
    """Reject the values that have a trained parameter on both sides, unless such are asked for.

    Two parameters that share a storage are always refused: each has a gradient of its own, and
    both write the same numbers.
    """
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    where: dict[int, tuple[str, set[int], set[int]]] = {}
    for index, part in enumerate(parts):
        for parameter in part.parameters():
            if parameter.requires_grad:
                key = parameter.untyped_storage()._cdata
                name = names.get(id(parameter), "a parameter")
                _, users, objects = where.setdefault(key, (name, set(), set()))
                users.add(index)
                objects.add(id(parameter))
    refused: dict[int, str] = {}
    for name, users, objects in where.values():
        if tied != REFUSED and len(objects) == 1:
            continue
        why = (
            f"the weight {name} is used on both sides (tied weights): each side would train its "
            "own copy"
            if len(objects) == 1
            else f"the weight {name} shares its memory with another on the other side; make both "
            "the same parameter (tied weights)"
        )
        for value in range(min(users) + 1, max(users) + 1):
            refused.setdefault(value, why)
    return refused
