"""A task: what every way of training, testing and checking data asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.tasks.collating import Collate
from splitopt.training.tasks.metrics import Metric
from splitopt.training.tasks.targets import Targets

Loss = Callable[[Tensor, Tensor], Tensor]
Count = Callable[[Tensor, Tensor], Tensor]
ANY = Targets("any", None, "a target")


def _samples(targets: Tensor) -> int:
    return len(targets)


def _any_outputs(outputs: Tensor, targets: Tensor, classes: int | None) -> str | None:  # noqa: ARG001
    return None


@dataclass(frozen=True, eq=False)
class Task:
    """What a network is trained for.

    Parameters
    ----------
    name
        For messages, files and pages.
    loss
        The mean loss of a batch, from outputs and targets: a scalar.
    metrics
        Name -> metric of the tests. The first one says which model is best; without any it is the
        test loss.
    targets
        Which targets fit.
    terms
        How many terms the mean loss of a batch has, by which test losses are averaged: its samples
        by default, its tokens or pixels where these are counted one by one.
    misfit
        What is wrong with the outputs for these targets and so many classes, as the end of the
        sentence "the model ..."; None if nothing is.
    class_metrics
        Name -> what is counted for a metric of each class: of a batch, from outputs and targets, a
        tensor of shape (2, C), added up over all batches of a test. The metric of a class is its
        first number over its second.
    collate
        Makes samples of unequal length one batch: from a list of inputs, each of shape (its length,
        ...), a list of their targets and the length that all are to have, the padded inputs of
        shape (n, length, ...) (a tensor, or several by the names of the model's arguments), a mask
        of truth values (n, length) that is true where a sample is, or None, and the targets of
        shape (n, ...). See `splitopt.training.tasks.collating`. Without it samples must have one
        length.

    Raises
    ------
    InputError
        A loss or a metric of another type.
    """

    name: str
    loss: Loss
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    targets: Targets = ANY
    terms: Callable[[Tensor], int] = _samples
    misfit: Callable[[Tensor, Tensor, int | None], str | None] = _any_outputs
    class_metrics: Mapping[str, Count] = field(default_factory=dict)
    collate: Collate | None = None

    def __post_init__(self) -> None:
        if not callable(self.loss):
            raise InputError.at("loss", f"is {self.loss!r}, it must be a function")
        for name, metric in self.metrics.items():
            if not isinstance(metric, Metric):
                raise InputError.at(
                    f"metrics.{name}", f"is of type {type(metric).__name__}, it must be a Metric"
                )
        if self.collate is not None and not callable(self.collate):
            raise InputError.at("collate", f"is {self.collate!r}, it must be a function or None")
        for name, count in self.class_metrics.items():
            if not callable(count):
                raise InputError.at(f"class_metrics.{name}", f"is {count!r}, it must be a function")

    @property
    def leading(self) -> str | None:
        """The name of the metric that says which model is best, None for the test loss."""
        return next(iter(self.metrics), None)

    @property
    def summary(self) -> str:
        """What its targets and metrics are, in a line."""
        metrics = ", ".join(self.metrics) or "the test loss alone"
        return f"Targets: {self.targets.words} for a sample; metrics: {metrics}"

    def has_better(self, name: str | None, value: float, other: float) -> bool:
        """Report whether a value of a metric, or of the test loss, is better than another one."""
        return value < other if name is None else self.metrics[name].is_better(value, other)
