"""One run of an operator, with its arguments by the names of its schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Call:
    """What an operator was given and what it returned.

    Parameters
    ----------
    arguments
        By name, defaults included.
    out
        What it returned.
    """

    arguments: Mapping[str, Any]
    out: Any

    @classmethod
    def of(cls, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Any) -> Call:
        """Bind the arguments of an overload by its schema."""
        known = func._schema.arguments
        found = {item.name: item.default_value for item in known if item.has_default_value()}
        found |= {item.name: value for item, value in zip(known, args, strict=False)}
        return cls({**found, **kwargs}, out)

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def size(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return tuple(self.arguments[name].shape)

    def needs(self, name: str) -> bool:
        """Return whether a gradient of this argument is wanted.

        Kernels that compute all gradients at once have no mask of those that are wanted. The
        tensors that autograd saved for them still say so themselves.
        """
        value = self.arguments[name]
        return isinstance(value, Tensor) and value.requires_grad


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Walk through the tensors in arguments or results."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_of(item)


def elements(value: Any) -> int:
    """Count the numbers in arguments or results."""
    return sum(item.numel() for item in tensors_of(value))
