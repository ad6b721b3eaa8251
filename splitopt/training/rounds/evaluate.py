"""Testing the common model, and seeing that its numbers are numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from splitopt.training.data.named import Inputs, arguments_of
from splitopt.training.model_parts.averaging import State
from splitopt.training.model_parts.modes import evaluating
from splitopt.training.schemes import Scheme, TrainingError
from splitopt.training.tasks import Task
from splitopt.training.tasks.known import CLASSIFICATION

BATCH = 512


class Score(NamedTuple):
    """Mean loss, the metrics of the task by name, and those of each class where these are asked.

    A class has None where nothing of it was counted.
    """

    loss: float
    metrics: dict[str, float]
    classes: dict[str, tuple[float | None, ...]] = {}  # noqa: RUF012 - no instance changes it

    @property
    def accuracy(self) -> float | None:
        """The fraction of targets whose largest output is that of their class, if it is tested."""
        return self.metrics.get("accuracy")


def evaluate(
    model: nn.Module,
    inputs: Inputs,
    targets: Tensor,
    task: Task = CLASSIFICATION,
    batch: int = BATCH,
    by_class: bool = False,
) -> Score:
    """Test a model in evaluation mode; its modes and buffers are as before afterwards.

    Parameters
    ----------
    model
        Gives outputs that fit the task.
    inputs, targets
        Shape (n, ...), inputs also several tensors; they may be on another device than the model.
    task
        Loss and metrics.
    batch
        Samples at once.
    by_class
        Whether to count by class as well.

    Raises
    ------
    TrainingError
        What the task counts by class are not two numbers for each class.
    """
    counting = {name: metric.sums for name, metric in task.metrics.items()}
    counted_by_class = dict(task.class_metrics) if by_class else {}
    place = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    loss, terms, sums, of_classes = 0.0, 0, dict[str, Tensor](), dict[str, Tensor]()
    with evaluating(model), torch.no_grad():
        for first in range(0, len(targets), batch):
            rows = slice(first, first + batch)
            outputs = model(*arguments_of(inputs[rows].to(place)))
            wanted = targets[rows].to(place)
            count = task.terms(wanted)
            if count:
                loss += float(task.loss(outputs, wanted)) * count
            terms += count
            _count(counting, outputs, wanted, sums)
            _count(counted_by_class, outputs, wanted, of_classes)
    metrics = {name: metric.value(sums[name]) for name, metric in task.metrics.items()}
    classes = {name: _shares(own, name) for name, own in of_classes.items()}
    return Score(loss / max(terms, 1), metrics, classes)


def _count(
    counting: Mapping[str, Callable[[Tensor, Tensor], Tensor]],
    outputs: Tensor,
    targets: Tensor,
    sums: dict[str, Tensor],
) -> None:
    """Add what is counted in a batch to the sums."""
    for name, count in counting.items():
        counted = count(outputs, targets).double().cpu()
        sums[name] = sums[name] + counted if name in sums else counted


def _shares(sums: Tensor, name: str) -> tuple[float | None, ...]:
    """Return the first of two sums over the second for each class, None where that is 0."""
    if sums.dim() != 2 or len(sums) != 2:
        raise TrainingError(
            f"what is counted by class for {name} has shape {tuple(sums.shape)}; it must be two "
            "numbers for each class, shape (2, classes)"
        )
    first, second = sums.tolist()
    return tuple(one / of if of else None for one, of in zip(first, second, strict=True))


def check_finite(scheme: Scheme) -> None:
    """Stop where a weight or statistic of the common model is not a finite number.

    Raises
    ------
    TrainingError
        With the tensor, and the first client whose own copy has such a number.
    """
    bad = _first_bad(scheme.model.state_dict())
    if bad is None:
        return
    copies = scheme.copies()[-len(scheme.clients) :]
    whose = next(
        (
            client.name
            for client, own in zip(scheme.clients, copies, strict=True)
            if _first_bad(own.model.state_dict()) is not None
        ),
        None,
    )
    words = "the server's part" if whose is None else f"the copy of client {whose}"
    raise TrainingError(
        f"{bad!r} has a value that is not finite, first in {words}; lower the learning rate"
    )


def _first_bad(state: State) -> str | None:
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            return name
    return None
