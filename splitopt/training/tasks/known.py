"""The tasks that are known by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from splitopt.training.tasks import metrics as of
from splitopt.training.tasks.collating import pad_samples, pad_tokens
from splitopt.training.tasks.metrics import Metric
from splitopt.training.tasks.targets import IGNORED, LABELS, Targets
from splitopt.training.tasks.task import Count, Task

_ACCURACY = Metric(of.accuracy, of.share, unit="%")


def _known(targets: Tensor) -> int:
    """Count the targets that are not `IGNORED`."""
    return int((targets != IGNORED).sum())


def _label_misfit(outputs: Tensor, targets: Tensor, classes: int | None) -> str | None:  # noqa: ARG001
    if outputs.dim() == 2 and outputs.shape[1] >= (classes or 0):
        return None
    return (
        f"gives {tuple(outputs.shape[1:])} for a sample, but {{data}} has {classes} classes; a "
        "model to train tells classes apart, by a number for each, "
        f"shape ({classes},)"
    )


def _marks_misfit(outputs: Tensor, targets: Tensor, classes: int | None) -> str | None:
    if outputs.shape == targets.shape:
        return None
    return (
        f"gives {tuple(outputs.shape[1:])} for a sample, but {{data}} marks {classes} classes; it "
        f"must give a number for each, shape ({classes},), above 0 for a mark"
    )


def _numbers_misfit(outputs: Tensor, targets: Tensor, classes: int | None) -> str | None:  # noqa: ARG001
    if outputs.numel() == targets.numel() and len(outputs) == len(targets):
        return None
    return (
        f"gives {tuple(outputs.shape[1:])} for a sample, but a target of {{data}} has shape "
        f"{tuple(targets.shape[1:])}; it must give as many numbers"
    )


def _pixels_misfit(outputs: Tensor, targets: Tensor, classes: int | None) -> str | None:
    wanted = (len(targets), *targets.shape[1:])
    has_classes = outputs.dim() == targets.dim() + 1 and outputs.shape[1] >= (classes or 0)
    if has_classes and (len(outputs), *outputs.shape[2:]) == wanted:
        return None
    sides = ", ".join(str(side) for side in targets.shape[1:])
    return (
        f"gives {tuple(outputs.shape[1:])} for a sample, but {{data}} has {classes} classes of "
        f"pixels; it must give a number for each class of each pixel, shape ({classes}, {sides})"
    )


def _tokens_misfit(outputs: Tensor, targets: Tensor, classes: int | None) -> str | None:
    if outputs.shape[:-1] == targets.shape and outputs.shape[-1] >= (classes or 0):
        return None
    sides = ", ".join(str(side) for side in targets.shape[1:])
    return (
        f"gives {tuple(outputs.shape[1:])} for a sample, but {{data}} has {classes} tokens; it "
        f"must give a number for each token at each place, shape ({sides}, {classes})"
    )


def _classified(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, targets, ignore_index=IGNORED)


def _marked(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(outputs, targets)


def _squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.mse_loss(outputs.reshape(targets.shape), targets)


def _told(outputs: Tensor, targets: Tensor) -> Tensor:
    return _classified(outputs.flatten(0, -2), targets.flatten())


def _entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    terms = outputs.new_tensor(float(_known(targets)))
    return outputs.new_tensor([0.0, 0.0]) if not terms else _summed(outputs, targets, terms)


def _summed(outputs: Tensor, targets: Tensor, terms: Tensor) -> Tensor:
    """Return the summed loss of all tokens, and how many there are."""
    return terms.new_tensor([float(_told(outputs, targets) * terms), float(terms)])


def _perplexity(sums: Tensor) -> float:
    return float((sums[0] / sums[1]).exp()) if float(sums[1]) else 1.0


def _of_classes(counts: Callable[[Tensor, Tensor], of.Counts], *names: str) -> dict[str, Count]:
    """Return the metrics of classes of these names, of what is counted."""

    def named(name: str) -> Count:
        def count(outputs: Tensor, targets: Tensor) -> Tensor:
            found: Tensor = getattr(counts(outputs, targets), name)
            return found

        return count

    return {name: named(name) for name in names}


CLASSIFICATION = Task(
    "classification",
    functional.cross_entropy,
    {"accuracy": _ACCURACY},
    LABELS,
    misfit=_label_misfit,
    class_metrics=_of_classes(of.counts, "recall", "precision", "f1"),
    collate=pad_samples,
)
MULTILABEL = Task(
    "multilabel",
    _marked,
    {
        "f1": Metric(of.marks, of.share, unit="%"),
        "exact_match": Metric(of.exact_marks, of.share, unit="%"),
    },
    Targets("marks", 1, "a mark of each class"),
    misfit=_marks_misfit,
    class_metrics=_of_classes(of.mark_counts, "f1", "recall", "precision"),
    collate=pad_samples,
)
REGRESSION = Task(
    "regression",
    _squared,
    {
        "rmse": Metric(of.squared_errors, of.rmse, higher_is_better=False),
        "mae": Metric(of.absolute_errors, of.share, higher_is_better=False),
        "r2": Metric(of.squared_errors, of.explained_variance),
    },
    Targets("numbers", None, "a number or an array"),
    misfit=_numbers_misfit,
    collate=pad_samples,
)
SEGMENTATION = Task(
    "segmentation",
    _classified,
    {
        "mean_iou": Metric(of.overlap, of.mean_iou, unit="%"),
        "accuracy": _ACCURACY,
    },
    Targets("classes", 2, "a map of labels", may_ignore=True),
    terms=_known,
    misfit=_pixels_misfit,
    class_metrics=_of_classes(of.counts, "iou", "recall", "f1"),
)
LANGUAGE = Task(
    "language",
    _told,
    {
        "perplexity": Metric(_entropy, _perplexity, higher_is_better=False),
        "accuracy": Metric(of.token_accuracy, of.share, unit="%"),
    },
    Targets("classes", 1, "a label of each token", may_ignore=True),
    terms=_known,
    misfit=_tokens_misfit,
    class_metrics=_of_classes(of.token_counts, "recall", "precision", "f1"),
    collate=pad_tokens,
)
TASKS = {
    task.name: task for task in (CLASSIFICATION, MULTILABEL, REGRESSION, SEGMENTATION, LANGUAGE)
}
"""Name -> task."""
