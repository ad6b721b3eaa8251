"""The metric by which the models of a training are compared, in words."""

from __future__ import annotations

from splitopt.training.history import History


def metric_words(history: History) -> str:
    """Return what the metric of a history is called, such as ``mean iou``."""
    return "loss" if history.metric is None else history.metric.replace("_", " ")


def is_share(history: History) -> bool:
    """Whether the metric is shown times 100."""
    return history.origin.get("unit", "%") == "%" and history.metric is not None


def metric_text(history: History, value: float | None) -> str:
    """Return a value of the metric as text, nothing where there is none."""
    if value is None:
        return ""
    return f"{100 * value:.2f}" if is_share(history) else f"{value:.4g}"


def metric_heading(history: History) -> str:
    """Return what stands above values of the metric."""
    return metric_words(history).capitalize() + (" %" if is_share(history) else "")
