"""What a codec is: a tensor as the tensors of a message, and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from splitopt.errors import InputError

Way = Literal["up", "down"]
"""Activations go up, gradients down."""
UP: Way = "up"
DOWN: Way = "down"

Layout = dict[str, tuple[torch.dtype, tuple[int, ...]]]
"""The tensors of a message: name -> dtype and shape."""


class Codec(ABC):
    """How a tensor of real numbers is written in fewer bytes.

    A codec has no state: what it sends depends on the tensor alone, and on the global generator of
    PyTorch if it rounds at random. Whoever calls it (`splitopt.training.codecs.crossing.Crossing`)
    sees to it that all values are finite, that none is above `largest`, and that the layout takes
    fewer bytes than the tensor itself; where it does not, the tensor goes as it is.

    The layout follows from shape and dtype alone, so that both ends know the size of a message
    before it is made.
    """

    name: ClassVar[str]
    feedback: frozenset[Way] = frozenset()
    """The ways on which the sender keeps what a message leaves out and adds it to the next one."""

    @classmethod
    @abstractmethod
    def read(cls, arguments: Sequence[str]) -> Codec:
        """Make one of what stands behind the colons of its text, as ``0.1`` in ``topk:0.1``.

        Raises
        ------
        InputError
            It takes no such arguments.
        """

    @abstractmethod
    def layout(self, shape: Sequence[int], dtype: torch.dtype) -> Layout:
        """Return what the message of a tensor of this shape and dtype is made of."""

    @abstractmethod
    def encode(self, tensor: Tensor) -> dict[str, Tensor]:
        """Write a tensor as those of `layout`; it is left as it is."""

    @abstractmethod
    def decode(
        self, message: Mapping[str, Tensor], shape: Sequence[int], dtype: torch.dtype
    ) -> Tensor:
        """Return the tensor, with its dimensions in their order in memory.

        Raises
        ------
        ValueError
            The message has the layout, but its values cannot be those of a tensor of this shape.
        """

    def largest(self, dtype: torch.dtype) -> float:
        """Return the largest magnitude of a value that can be written."""
        return torch.finfo(dtype).max

    def error_bound(self, tensor: Tensor) -> Tensor | None:  # noqa: ARG002
        """Return what the error of a tensor that came back is at most; None if nothing is stated.

        A tensor of the same shape bounds each value, one without dimensions the Euclidean norm of
        all errors. It is for the conformance suite.
        """
        return None

    def bytes(self, shape: Sequence[int], dtype: torch.dtype) -> int:
        """Return the bytes of the message of a tensor: its values, scales and positions."""
        parts = self.layout(shape, dtype).values()
        return sum(kind.itemsize * math.prod(inner) for kind, inner in parts)


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which a tensor is computed with: float64 of float64, float32 of all."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def no_arguments(name: str, arguments: Sequence[str]) -> None:
    """Raise `InputError` if a codec that takes no arguments was given some."""
    if arguments:
        raise InputError(f"{name} takes nothing behind a colon; write {name!r} alone")
