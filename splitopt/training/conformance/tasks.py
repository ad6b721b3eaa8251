"""What every task must do: its loss, its metrics, its targets and what it says of misfits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from splitopt.training.conformance import collating
from splitopt.training.conformance.findings import Finding, found, skipped
from splitopt.training.tasks.targets import IGNORED
from splitopt.training.tasks.task import Task

_SAMPLES, _CLASSES, _SIDE = 12, 4, 5
_PARTS = [5, 4, 3]


class _Batch(NamedTuple):
    """Outputs and targets that fit a task."""

    outputs: Tensor
    targets: Tensor
    classes: int | None


def _candidates(task: Task) -> Iterator[_Batch]:
    """Yield batches as the targets of a task may be, with outputs of several shapes."""
    generator = torch.Generator().manual_seed(3)
    n, wide = _SAMPLES, task.targets.dimensions or 0
    sides = (_SIDE,) * wide
    labels = torch.randint(0, _CLASSES, (n, *sides), generator=generator)
    labels.view(-1)[: 2 * _CLASSES] = torch.arange(2 * _CLASSES) % _CLASSES
    numbers = torch.randn(n, *sides, generator=generator)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    if task.targets.kind in ("classes", "any"):
        for shape in ((n, _CLASSES, *sides), (n, *sides, _CLASSES)):
            yield _Batch(drawn(*shape), labels, _CLASSES)
    if task.targets.kind in ("marks", "any"):
        marks = (drawn(n, _CLASSES) > 0).float()
        yield _Batch(drawn(n, _CLASSES), marks, _CLASSES)
    if task.targets.kind in ("numbers", "any"):
        for width in ((1,), (), (_CLASSES,)):
            yield _Batch(drawn(n, *width), numbers, None)
        yield _Batch(drawn(n, _CLASSES), drawn(n, _CLASSES), None)
        yield _Batch(drawn(n, 1), drawn(n, 1), None)


def _fitting(task: Task) -> _Batch | None:
    """Return the first batch that the task finds nothing wrong with and has a loss for."""
    for batch in _candidates(task):
        try:
            if task.misfit(*batch) is not None:
                continue
            value = task.loss(batch.outputs, batch.targets)
            for metric in task.metrics.values():
                metric.sums(batch.outputs, batch.targets)
        except Exception:
            continue
        if isinstance(value, Tensor):
            return batch
    return None


_NONE = (
    "no outputs and targets were found that its loss and metrics take; state its targets, "
    "such as Targets('numbers', 0, 'a number')"
)


def _has_a_loss(task: Task) -> Finding:
    batch = _fitting(task)
    if batch is None:
        return "failed", _NONE
    outputs = batch.outputs.clone().requires_grad_()
    targets = batch.targets.clone()
    loss = task.loss(outputs, targets)
    if loss.shape != () or not bool(torch.isfinite(loss)):
        return "failed", f"the loss of a batch has shape {tuple(loss.shape)}, it must be a number"
    if not loss.requires_grad:
        return "failed", "the loss has no gradient with respect to the outputs"
    loss.backward()  # type: ignore[no-untyped-call]
    gradient = outputs.grad
    if gradient is None or not torch.isfinite(gradient).all() or not bool(gradient.any()):
        return "failed", "the gradient of the loss with respect to the outputs is zero or none"
    is_left = torch.equal(outputs.detach(), batch.outputs) and torch.equal(targets, batch.targets)
    return found(
        is_left,
        "the loss is a finite number with a gradient",
        "the loss changes the outputs or targets that it is given",
    )


def _parts(batch: _Batch) -> list[_Batch]:
    pairs = zip(torch.split(batch.outputs, _PARTS), torch.split(batch.targets, _PARTS), strict=True)
    return [_Batch(outputs, targets, batch.classes) for outputs, targets in pairs]


def _loss_adds_up(task: Task) -> Finding:
    batch = _fitting(task)
    if batch is None:
        return skipped("no batch is known that fits it")
    terms = [task.terms(part.targets) for part in _parts(batch)]
    if sum(terms) != task.terms(batch.targets):
        return "failed", f"its terms are {terms} in parts and {task.terms(batch.targets)} in all"
    losses = [float(task.loss(part.outputs, part.targets)) for part in _parts(batch)]
    mean = sum(n * loss for n, loss in zip(terms, losses, strict=True)) / sum(terms)
    whole = float(task.loss(batch.outputs, batch.targets))
    return found(
        math.isclose(mean, whole, rel_tol=1e-4, abs_tol=1e-6),
        "the loss of a batch is the mean of its parts, weighed by terms",
        f"the mean of the losses of parts, weighed by terms, is {mean:.6g}, that of the whole "
        f"batch {whole:.6g}; return the mean of the batch, and state terms if they are no samples",
    )


def _metrics_add_up(task: Task) -> Finding:
    batch = _fitting(task)
    if batch is None or not task.metrics:
        return skipped("has no metric" if batch else "no batch is known that fits it")
    for name, metric in task.metrics.items():
        whole = metric.sums(batch.outputs, batch.targets).double()
        parts = [metric.sums(part.outputs, part.targets).double() for part in _parts(batch)]
        if any(part.shape != whole.shape for part in parts):
            return "failed", f"the sums of {name} have another shape for another size of a batch"
        total = torch.stack(parts).sum(0)
        if not torch.allclose(total, whole, rtol=1e-4, atol=1e-6):
            return "failed", (
                f"the sums of {name} are {total.tolist()} over parts of a batch and "
                f"{whole.tolist()} over all of it"
            )
        value = metric.value(whole)
        if not isinstance(value, float) or not math.isfinite(value):
            return "failed", f"the value of {name} is {value!r}, it must be a finite float"
    for name, count in task.class_metrics.items():
        whole = count(batch.outputs, batch.targets)
        if whole.dim() != 2 or len(whole) != 2:
            return "failed", f"{name} of classes has shape {tuple(whole.shape)}, it must be (2, C)"
        parts = [count(part.outputs, part.targets) for part in _parts(batch)]
        if any(part.shape != whole.shape for part in parts) or not torch.equal(
            torch.stack(parts).sum(0), whole
        ):
            return "failed", f"{name} of classes over parts of a batch is not that over all of it"
    return "passed", "the sums of metrics over parts of a batch are those over all of it"


def _ignores(task: Task) -> Finding:
    """Change outputs where the target counts for nothing, which must make no difference."""
    batch = _fitting(task)
    if batch is None or not task.targets.may_ignore:
        return skipped("has no target that counts for nothing (may_ignore)")
    masked, changed = batch.targets.clone(), batch.outputs.clone()
    hidden = torch.zeros_like(masked, dtype=torch.bool)
    hidden.view(-1)[::3] = True
    masked[hidden] = IGNORED
    classes_last = batch.outputs.shape[:-1] == masked.shape
    rows = changed if classes_last else changed.movedim(1, -1)
    rows[hidden] += torch.arange(float(rows.shape[-1]))  # another one for each class
    if task.terms(masked) != int((~hidden).sum()):
        return "failed", "its terms count targets that count for nothing"
    losses = [float(task.loss(outputs, masked)) for outputs in (batch.outputs, changed)]
    if losses[0] != losses[1]:
        return "failed", "outputs whose target counts for nothing change the loss"
    for name, metric in task.metrics.items():
        sums = [metric.sums(outputs, masked) for outputs in (batch.outputs, changed)]
        if not torch.equal(*sums):
            return "failed", f"outputs whose target counts for nothing change the sums of {name}"
        nothing = metric.sums(batch.outputs, torch.full_like(masked, IGNORED))
        if not math.isfinite(metric.value(nothing.double())):
            return "failed", f"{name} is not finite where no target counts"
    return "passed", "targets that count for nothing change neither loss nor metrics"


def _names_misfits(task: Task) -> Finding:
    batch = _fitting(task)
    if batch is None:
        return skipped("no batch is known that fits it")
    n = len(batch.outputs)
    odd = [
        batch._replace(outputs=torch.zeros(n, _CLASSES + 1, 2, 2, 2)),
        batch._replace(outputs=batch.outputs.new_zeros(n, 2, 3)),
    ]
    words = [task.misfit(*own) for own in odd]
    if words == [None, None]:
        return skipped("finds nothing wrong with any outputs (misfit)")
    for text in words:
        if not isinstance(text, str) or not text.strip():
            return "failed", "misfit finds nothing wrong with outputs of some other shape"
        try:
            text.format(data="data")
        except (KeyError, IndexError, ValueError) as error:
            return "failed", f"its message cannot be filled in ({type(error).__name__}: {error})"
        if text[0].isupper() or text.endswith("."):
            return "failed", "its message is no end of the sentence 'the model ...'"
    return "passed", "outputs of another shape are named in words"


CHECKS: dict[str, Callable[[Task], Finding]] = {
    "loss is a number with a gradient": _has_a_loss,
    "loss is the mean of its parts": _loss_adds_up,
    "metrics add up over batches": _metrics_add_up,
    "masked targets count for nothing": _ignores,
    "misfits are named": _names_misfits,
    **collating.CHECKS,
}
"""Check -> what it does with a task."""
