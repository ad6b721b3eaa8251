"""What a model is cut with: an example of what it takes, or what it is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict


class SampleFields(TypedDict, total=False):
    """The fields of a `Sample`, as keywords."""

    example: Any
    input_shape: Sequence[int] | None
    input_dtype: str | None
    classes: int | None


@dataclass(frozen=True, eq=False)
class Sample:
    """An example of what a model takes, or shape and type of one.

    Parameters
    ----------
    example
        A batch as the model takes it, a tensor or several in a tuple or a dict,
        instead of shape and type.
    input_shape, input_dtype
        The shape and type of one sample; by default as the profile was traced, else as the
        shipped network takes it.
    classes
        The width of a shipped network's output.
    """

    example: Any = None
    input_shape: Sequence[int] | None = None
    input_dtype: str | None = None
    classes: int | None = None
