"""What the targets of a task are: their type, their shape for a sample, and their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from splitopt.documents.checks import check_choice
from splitopt.errors import InputError

Kind = Literal["classes", "marks", "numbers", "any"]

IGNORED = -100
"""The target that counts for nothing, as in PyTorch's cross-entropy: padding, unknown pixels."""
MOST_CLASSES = 100_000
"""Classes that data may have without a target of each: a model has an output for every one."""
_LARGEST = 2**31


@dataclass(frozen=True)
class Targets:
    """The targets that a task takes.

    Parameters
    ----------
    kind
        ``"classes"``: whole numbers from 0 to C - 1. ``"marks"``: 0 or 1 for each of C classes.
        ``"numbers"``: any finite numbers. ``"any"``: whole numbers stay whole, others float32.
    dimensions
        Of the target of a sample: 0 for a number, 2 for a map of pixels; None for any.
    words
        What is needed for a sample, for messages, such as ``"a label"``.
    may_ignore
        Whether `IGNORED` may stand for a class.

    Raises
    ------
    InputError
        Another kind.
    """

    kind: Kind
    dimensions: int | None
    words: str
    may_ignore: bool = False

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, get_args(Kind))

    @property
    def are_labels(self) -> bool:
        """Whether there is one class for a sample, by which data can be shared out."""
        return self.kind == "classes" and self.dimensions == 0

    def read(self, array: np.ndarray[Any, Any], place: str) -> Tensor:
        """Convert an array of numbers to targets, shape (n, ...).

        Raises
        ------
        InputError
            The shape or a value is none of this task.
        """
        if self.dimensions == 0 and array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim == 0 or self.dimensions not in (None, array.ndim - 1):
            raise InputError.at(place, f"has shape {array.shape}; {self._shape_words}")
        if self.kind == "classes":
            return _classes(array, place)
        if self.kind == "marks":
            if array.ndim != 2 or not np.isin(array, (0, 1)).all():
                raise InputError.at(
                    place,
                    f"has shape {array.shape}; {self.words} is needed for each sample: a 0 or a 1 "
                    "for each class, shape (n, classes)",
                )
            return torch.from_numpy(array.astype(np.float32))
        is_whole = array.dtype.kind in "bui"
        with np.errstate(over="ignore"):  # what float32 cannot hold is found as not finite
            own = array.astype(np.int64 if self.kind == "any" and is_whole else np.float32)
        if own.dtype.kind == "f" and not np.isfinite(own).all():
            raise InputError.at(place, "holds a value that is not finite; remove or fill it")
        return torch.from_numpy(own)

    def classes_in(self, targets: Sequence[Tensor], name: str) -> int | None:
        """Return how many classes there are: 1 + the largest target; None for numbers.

        Raises
        ------
        InputError
            More than can be meant.
        """
        if self.kind == "marks":
            return int(targets[0].shape[1])
        if self.kind != "classes":
            return None
        classes = 1 + max((int(own.max()) for own in targets if own.numel()), default=0)
        most = max(MOST_CLASSES, sum(own.numel() for own in targets))
        if classes > most:
            raise InputError.at(
                name,
                f"has the label {classes - 1}, so there would be {classes} classes, and at most "
                f"{most} are trained; number the classes 0, 1, ...",
            )
        return classes

    def outside(self, targets: Tensor, classes: int | None) -> Tensor:
        """Return which targets are no values of this kind, as booleans of their shape."""
        if self.kind == "classes":
            found = (targets < 0) | (targets >= (classes or 0))
            return found & (targets != IGNORED) if self.may_ignore else found
        if self.kind == "marks":
            return (targets != 0) & (targets != 1)
        return ~torch.isfinite(targets)

    @property
    def _shape_words(self) -> str:
        if self.are_labels:
            return (
                f"{self.words} for each sample is needed, shape (n,), of one-hot rows "
                "argmax(axis=1); other targets are of another task, such as regression, "
                "segmentation or language"
            )
        sides = ", ".join(["n", *("side" for _ in range(self.dimensions or 0))])
        return f"{self.words} for each sample is needed, shape ({sides})"


LABELS = Targets("classes", 0, "a label")
"""One class for each sample."""


def _classes(array: np.ndarray[Any, Any], place: str) -> Tensor:
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.round(array))).all():
        raise InputError.at(
            place, "holds a label that is not a whole number; labels are classes, 0, 1, ..."
        )
    if array.size and not (np.abs(array.astype(np.float64)) < _LARGEST).all():
        raise InputError.at(place, "holds a label beyond 2^31; labels are 0, 1, ...")
    return torch.from_numpy(array.astype(np.int64))
