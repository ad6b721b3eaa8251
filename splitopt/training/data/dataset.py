"""A data set in memory, checked for what its task needs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.data.named import Inputs, shapes_of, tensors_of
from splitopt.training.tasks.targets import LABELS, Targets

TEST_SHARE = 0.2
"""Of the samples of each class, where data come without a test set of their own."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Samples to train on and samples to test on.

    Parameters
    ----------
    name
        For reports.
    train_inputs, test_inputs
        Shape (n, ...), n >= 1, float32 (or int64, such as tokens), finite, with the same shape
        of a sample; or several such tensors by name.
    train_targets, test_targets
        Shape (n, ...), of the kind `targets`: labels have shape (n,), int64, from 0 to
        ``classes`` - 1.
    classes
        Number of classes, at least 2; None where targets are numbers.
    scaling
        What was done to the values, in words.
    targets
        What the targets are; one label for each sample by default.

    Raises
    ------
    InputError
        Lengths, shapes or types that contradict each other, values that are not finite, labels
        outside the classes.
    """

    name: str
    train_inputs: Inputs
    train_targets: Tensor
    test_inputs: Inputs
    test_targets: Tensor
    classes: int | None
    scaling: str = "as given"
    targets: Targets = LABELS

    def __post_init__(self) -> None:
        if self.classes is not None and self.classes < 2:
            raise InputError.at(
                self.name, f"has {self.classes} class; at least 2 are needed to tell apart"
            )
        for kind, inputs, targets in (
            ("training", self.train_inputs, self.train_targets),
            ("test", self.test_inputs, self.test_targets),
        ):
            self._check_part(kind, inputs, targets)
        if self.train_targets.shape[1:] != self.test_targets.shape[1:]:
            own, other = (_words(t.shape[1:]) for t in (self.train_targets, self.test_targets))
            raise InputError.at(
                self.name,
                f"a training target is {own} and a test target {other}; they must be of one shape",
            )
        self._check_alike()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample, or of the first of its inputs."""
        return shapes_of(self.train_inputs)[0][1]

    @property
    def outputs(self) -> int:
        """How many outputs a network for it has: one for each class, or for each number."""
        return self.classes or max(1, int(self.train_targets[0].numel()))

    def _check_alike(self) -> None:
        """Reject test inputs that have other names, shapes or types than those to train with."""
        train, test = tensors_of(self.train_inputs), tensors_of(self.test_inputs)
        if set(train) != set(test):
            raise InputError.at(
                self.name,
                f"training samples have the inputs {', '.join(train) or 'none by name'} and test "
                f"samples {', '.join(test) or 'none by name'}; they must be the same",
            )
        for name, value in train.items():
            of = f" of input {name}" if name else ""
            own, other = value.shape[1:], test[name].shape[1:]
            if own != other:
                raise InputError.at(
                    self.name,
                    f"training samples{of} are {_words(own)} and test samples {_words(other)}; "
                    "they must have the same shape",
                )
            if value.dtype.is_floating_point != test[name].dtype.is_floating_point:
                kinds = [str(one.dtype).removeprefix("torch.") for one in (value, test[name])]
                raise InputError.at(
                    self.name,
                    f"training inputs{of} are {kinds[0]} and test inputs {kinds[1]}; convert them "
                    "to one type, that which the model takes",
                )

    def _check_part(self, kind: str, inputs: Inputs, targets: Tensor) -> None:
        """Reject inputs and targets that do not fit each other, or are none of this kind."""
        shapes = {tuple(value.shape) for value in tensors_of(inputs).values()}
        fit = () not in shapes and targets.dim() > 0 and len(inputs) == len(targets)
        if not fit or not len(targets):
            raise InputError.at(
                self.name,
                f"the {kind} inputs have shape {' and '.join(map(str, shapes))} and the targets "
                f"{tuple(targets.shape)}; n >= 1 inputs need n targets, shape (n, ...)",
            )
        if self.targets.dimensions not in (None, targets.dim() - 1):
            raise InputError.at(
                self.name,
                f"the {kind} targets have shape {tuple(targets.shape)}; {self.targets.words} for "
                "each sample is needed",
            )
        check_finite(self.name, f"{kind} sample", inputs)
        outside = self.targets.outside(targets, self.classes)
        if outside.any():
            place = torch.nonzero(outside)[0].tolist()
            value = targets[tuple(place)].item()
            where = f"is {value}, which is none of this task"
            if self.targets.kind == "classes":
                where = f"is {value}, outside the classes 0 to {(self.classes or 0) - 1}"
            of = "the label" if self.targets.are_labels else "a target"
            raise InputError.at(self.name, f"{of} of {kind} sample {place[0]} {where}")

    def digest(self) -> str:
        """SHA-256 of all samples, targets and shapes, in hexadecimal; the name does not count."""
        found = hashlib.sha256(f"splitopt data {self.classes}".encode())
        for tensor in (
            self.train_inputs,
            self.train_targets,
            self.test_inputs,
            self.test_targets,
        ):
            for name, value in tensors_of(tensor).items():
                values = as_array(value)
                named = f"{name} " if name else ""
                found.update(f"{named}{values.dtype.str} {values.shape}".encode())
                found.update(values.data)
        return found.hexdigest()


def as_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """Return a tensor's values as an array; those of bfloat16, which NumPy lacks, as float32."""
    plain = tensor.cpu()
    return np.ascontiguousarray((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy())


def split_off_test(
    inputs: Inputs, targets: Tensor, seed: int, name: str, *, by_class: bool = True
) -> tuple[Inputs, Tensor, Inputs, Tensor]:
    """Set a share of the samples, of each class or of all, aside for testing; drawn by the seed.

    Returns
    -------
    Training inputs and targets, test inputs and targets, each in their original order.
    """
    rng = np.random.default_rng(seed)
    labels = targets.numpy() if by_class else np.zeros(len(targets), dtype=np.int64)
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        test[rows[: round(TEST_SHARE * len(rows))]] = True
    if not test.any():
        raise InputError.at(
            name,
            f"{len(labels)} samples are too few to set some aside for testing; give a test set as "
            "(x_train, y_train, x_test, y_test)",
        )
    chosen = torch.from_numpy(test)
    return inputs[~chosen], targets[~chosen], inputs[chosen], targets[chosen]


def check_finite(name: str, what: str, inputs: Inputs) -> None:
    """Reject inputs with a value that is not finite, and name the first row that has one."""
    for own, values in tensors_of(inputs).items():
        if values.is_floating_point() and not torch.isfinite(values).all():
            bad = ~torch.isfinite(values).reshape(len(values), -1).all(dim=1)
            held = f"holds in {own}" if own else "holds"
            raise InputError.at(
                name,
                f"{what} {int(torch.nonzero(bad)[0])} {held} a value that is not finite; remove "
                "or fill it",
            )


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape) or "single values"
