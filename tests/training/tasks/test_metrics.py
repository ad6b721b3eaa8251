"""Metrics and losses of the known tasks, against scikit-learn and against numbers by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from sklearn import metrics as known  # noqa: E402
from torch import nn  # noqa: E402

from splitopt.errors import InputError  # noqa: E402
from splitopt.training.rounds.evaluate import evaluate  # noqa: E402
from splitopt.training.tasks import TASKS, Metric, Task, task_of  # noqa: E402
from splitopt.training.tasks.targets import IGNORED  # noqa: E402

pytestmark = pytest.mark.train


def score(name, outputs, targets, batch=7):
    """Test a model that gives these outputs, in batches."""
    return evaluate(nn.Identity(), outputs, targets, TASKS[name], batch)


def test_regression():
    rng = np.random.default_rng(0)
    outputs, targets = rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 0.5
    found = score("regression", *(torch.tensor(own) for own in (outputs, targets)))
    error = known.mean_squared_error(targets, outputs)
    assert found.loss == pytest.approx(error)
    assert found.metrics["rmse"] == pytest.approx(math.sqrt(error))
    assert found.metrics["mae"] == pytest.approx(known.mean_absolute_error(targets, outputs))
    r2 = known.r2_score(targets.ravel(), outputs.ravel())
    assert found.metrics["r2"] == pytest.approx(r2)
    assert found.accuracy is None


def test_a_column_of_outputs_is_held_against_numbers_one_by_one():
    """Outputs (n, 1) and targets (n,) must not be spread over each other."""
    found = score("regression", torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([1.0, 2.0, 3.0]))
    assert found.loss == pytest.approx(1 / 3)


def test_multilabel():
    rng = np.random.default_rng(1)
    outputs, targets = rng.normal(size=(40, 5)), rng.integers(0, 2, (40, 5))
    found = score("multilabel", torch.tensor(outputs), torch.tensor(targets, dtype=torch.float64))
    marks = outputs > 0
    assert found.metrics["f1"] == pytest.approx(known.f1_score(targets, marks, average="micro"))
    assert found.metrics["exact_match"] == pytest.approx(known.accuracy_score(targets, marks))
    chance = 1 / (1 + np.exp(-outputs))
    assert found.loss == pytest.approx(known.log_loss(targets.ravel(), chance.ravel()))


def test_segmentation():
    """Unknown pixels count for nothing, and a class that is nowhere does not either."""
    rng = np.random.default_rng(2)
    outputs, targets = rng.normal(size=(20, 4, 3, 3)), rng.integers(0, 3, (20, 3, 3))
    outputs[:, 3] -= 100.0
    targets[rng.random(targets.shape) < 0.2] = IGNORED
    found = score("segmentation", torch.tensor(outputs), torch.tensor(targets))
    seen = targets != IGNORED
    chosen, wanted = outputs.argmax(1)[seen], targets[seen]
    iou = known.jaccard_score(wanted, chosen, average="macro")
    assert found.metrics["mean_iou"] == pytest.approx(iou)
    assert found.accuracy == pytest.approx((chosen == wanted).mean())
    logs = np.log(np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True))
    losses = -np.take_along_axis(logs, np.maximum(targets, 0)[:, None], 1)[:, 0][seen]
    assert found.loss == pytest.approx(losses.mean())


def test_language():
    """By hand: a token of chance 1/2 and one of 1/8 have the perplexity 4; padding has none."""
    outputs = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.125, 0.5, 0.375], [0.9, 0.1, 0.0]]]))
    found = score("language", outputs.double(), torch.tensor([[0, 0, IGNORED]]))
    assert found.metrics["perplexity"] == pytest.approx(4.0)
    assert found.loss == pytest.approx(math.log(4.0))
    assert found.accuracy == pytest.approx(0.5)


def test_classes_are_tested_as_before():
    outputs, targets = torch.randn(30, 4), torch.randint(0, 4, (30,))
    found = score("classification", outputs, targets)
    assert found.loss == pytest.approx(float(nn.functional.cross_entropy(outputs, targets)))
    assert found.metrics == {
        "accuracy": pytest.approx(float((outputs.argmax(1) == targets).float().mean()))
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("regresion", "unknown here; known are classification, .*did you mean 'regression'"),
        (3, "is of type int; give a Task"),
        ("own.py:none", "own.py: there is no such file"),
    ],
)
def test_what_is_no_task(given, words):
    with pytest.raises(InputError, match=words):
        task_of(given)


def test_own_tasks_are_found_in_a_file(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "from splitopt.training.tasks import Task\n"
        "def huber(outputs, targets):\n    return abs(outputs - targets).mean()\n"
        "MINE = Task('mine', huber)\nNUMBER = 3\n"
    )
    assert task_of(f"{file}:MINE").name == "mine"
    assert task_of(f"{file}:huber").name == "huber"
    with pytest.raises(InputError, match="loss: is 3, it must be a function"):
        task_of(f"{file}:NUMBER")
    with pytest.raises(InputError, match=r"metrics.m: is of type function, it must be a Metric"):
        Task("x", abs, {"m": lambda a, b: a})
    assert Metric(abs, float, higher_is_better=False).is_better(1.0, 2.0)
