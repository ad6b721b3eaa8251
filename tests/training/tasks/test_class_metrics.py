"""Metrics of each class against scikit-learn, over batches of any size."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from sklearn import metrics as known  # noqa: E402
from torch import nn  # noqa: E402

from splitopt.errors import InputError, TrainingError  # noqa: E402
from splitopt.training.rounds.evaluate import evaluate  # noqa: E402
from splitopt.training.tasks import TASKS, Task, task_of  # noqa: E402
from splitopt.training.tasks.targets import IGNORED  # noqa: E402

pytestmark = pytest.mark.train

SCORES = {
    "recall": known.recall_score,
    "precision": known.precision_score,
    "f1": known.f1_score,
    "iou": known.jaccard_score,
}


def assert_as_sklearn(name, outputs, targets, wanted, found, labels):
    """Hold each metric of each class against scikit-learn's; nan there is None here."""
    score = evaluate(
        nn.Identity(), torch.tensor(outputs), torch.tensor(targets), TASKS[name], 7, by_class=True
    )
    assert set(score.classes) == set(TASKS[name].class_metrics)
    for metric, values in score.classes.items():
        own = SCORES[metric]
        if metric == "iou":  # no nan there: 0 where a class is nowhere
            nowhere = [k for k in labels if not ((wanted == k) | (found == k)).any()]
            theirs = own(wanted, found, labels=labels, average=None, zero_division=0)
            theirs[nowhere] = np.nan
        else:
            theirs = own(wanted, found, labels=labels, average=None, zero_division=np.nan)
        ours = [np.nan if value is None else value for value in values]
        assert ours == pytest.approx(list(theirs), nan_ok=True), metric
    return score


def test_classification():
    """Class 4 is never wanted and never found: it has no metric at all."""
    rng = np.random.default_rng(0)
    outputs, targets = rng.normal(size=(60, 5)), rng.integers(0, 4, 60)
    outputs[:, 4] = -9.0
    chosen = outputs.argmax(1)
    score = assert_as_sklearn("classification", outputs, targets, targets, chosen, range(5))
    assert score.classes["recall"][4] is score.classes["precision"][4] is None
    assert all(value is not None for value in score.classes["recall"][:4])


def test_segmentation():
    """Unknown pixels count for nothing; the mean of the classes' overlaps is the mean IoU."""
    rng = np.random.default_rng(2)
    outputs, targets = rng.normal(size=(20, 4, 3, 3)), rng.integers(0, 3, (20, 3, 3))
    outputs[:, 3] -= 100.0
    targets[rng.random(targets.shape) < 0.2] = IGNORED
    seen = targets != IGNORED
    score = assert_as_sklearn(
        "segmentation", outputs, targets, targets[seen], outputs.argmax(1)[seen], range(4)
    )
    there = [value for value in score.classes["iou"] if value is not None]
    assert np.mean(there) == pytest.approx(score.metrics["mean_iou"])


def test_language():
    rng = np.random.default_rng(3)
    outputs, targets = rng.normal(size=(20, 6, 4)), rng.integers(0, 4, (20, 6))
    targets[rng.random(targets.shape) < 0.3] = IGNORED
    seen = targets != IGNORED
    chosen = outputs.argmax(2)[seen]
    assert_as_sklearn("language", outputs, targets, targets[seen], chosen, range(4))


def test_multilabel():
    rng = np.random.default_rng(1)
    outputs, targets = rng.normal(size=(40, 5)), rng.integers(0, 2, (40, 5))
    score = evaluate(
        nn.Identity(),
        torch.tensor(outputs),
        torch.tensor(targets, dtype=torch.float64),
        TASKS["multilabel"],
        7,
        by_class=True,
    )
    for metric, values in score.classes.items():
        theirs = SCORES[metric](targets, outputs > 0, average=None)
        assert values == pytest.approx(tuple(theirs))


def test_nothing_is_counted_by_class_unless_asked():
    score = evaluate(nn.Identity(), torch.randn(9, 3), torch.zeros(9, dtype=torch.int64))
    assert score.classes == {}


def test_what_is_no_count_by_class_is_refused(tmp_path):
    """A number that is no function, one that takes too little, and sums of another shape."""
    with pytest.raises(InputError, match=r"class_metrics.hits: is 3, it must be a function"):
        Task("x", abs, class_metrics={"hits": 3})
    file = tmp_path / "own.py"
    file.write_text(
        "from splitopt.training.tasks import Task\n"
        "def loss(outputs, targets):\n    return outputs.mean()\n"
        "MINE = Task('mine', loss, class_metrics={'hits': lambda outputs: outputs})\n"
    )
    with pytest.raises(InputError, match=r"hits of each class cannot be called"):
        task_of(f"{file}:MINE")
    odd = Task("x", lambda o, t: o.mean(), class_metrics={"hits": lambda o, t: o.sum(dim=0)})
    with pytest.raises(TrainingError, match=r"hits has shape \(3,\); it must be two"):
        evaluate(nn.Identity(), torch.randn(9, 3), torch.zeros(9), odd, by_class=True)
