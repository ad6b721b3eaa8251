"""The tests between rounds: of the common model, by client and by class where that is asked for."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError
from splitopt.training.by_client import ClientRow
from splitopt.training.data.named import Inputs
from splitopt.training.data.shares_to_test import share_out_test
from splitopt.training.history import RoundRow
from splitopt.training.model_parts.copies import tensor_bytes
from splitopt.training.preparing.prepare import Prepared
from splitopt.training.preparing.setup import Draw
from splitopt.training.randomness import seed_of
from splitopt.training.rounds.defences import correlation, noisy_bytes, noisy_scores
from splitopt.training.rounds.evaluate import Score, evaluate
from splitopt.training.rounds.halves import Halves
from splitopt.training.schedule import Schedule
from splitopt.training.schemes import TrainingError
from splitopt.training.tasks import Task

SmashedTests = Callable[[], Tensor]
ElsewhereTests = Callable[[bool], Score]
"""From whether metrics are counted by class as well to what a test came to."""

MOST_CLASSES = 1000
"""Of how many classes a history has metrics at most."""


class RoundTests:
    """What is done in every test of a training.

    Parameters
    ----------
    prepared
        What is trained.
    schedule
        What to test beside the common model on all test data.
    smashed
        Gives what the client part of the common model makes of all test inputs, where another
        party has it. With a fed server, the server part is tested on that.
    elsewhere
        Has the common model tested by the party that has the test data, where this one has none.

    Attributes
    ----------
    received_bytes
        Of the smashed test data that the server part is tested on, in a test.

    Raises
    ------
    InputError
        As `check_schedule`.
    """

    def __init__(
        self,
        prepared: Prepared,
        schedule: Schedule,
        smashed: SmashedTests | None = None,
        elsewhere: ElsewhereTests | None = None,
    ) -> None:
        check_schedule(prepared, schedule)
        self.received_bytes = 0
        self._halves = Halves(prepared.scheme) if prepared.scheme.options.fed_server else None
        self._smashed, self._elsewhere = smashed, elsewhere
        self.prepared, self.per_class = prepared, schedule.per_class
        clients, seed = prepared.scheme.clients, prepared.identity["seed"]
        self._as_published = prepared.scheme.options.as_published
        by_client = schedule.per_client or self._as_published
        targets = [client.batches.targets for client in clients] if by_client else []
        rows = share_out_test(prepared.data, targets, seed_of(seed, Draw.TESTS)) if targets else []
        self._shares = {client.name: own for client, own in zip(clients, rows, strict=False)}

    def of(self, row: RoundRow) -> RoundRow:
        """Add the tests to the row of a round.

        Raises
        ------
        TrainingError
            A loss or a metric is not a finite number.
        """
        prepared = self.prepared
        data, task = prepared.data, prepared.task
        model, inputs = self._tested()
        if self._elsewhere is not None:
            score = self._elsewhere(self.per_class)
        else:
            score = evaluate(model, inputs, data.test_targets, task, by_class=self.per_class)
        check_score(score, "test")
        if self._as_published:
            return self._of_published(row, score)
        clients = dict(row.clients)
        for name, rows in self._shares.items():
            if not len(rows):
                continue
            own = evaluate(model, inputs[rows], data.test_targets[rows], task)
            check_score(own, f"test of client {name}")
            clients[name] = replace(
                clients.get(name, ClientRow()),
                test_loss=own.loss,
                test_samples=len(rows),
                metrics=own.metrics,
            )
        return replace(
            row,
            test_loss=score.loss,
            accuracy=score.accuracy,
            metrics=score.metrics,
            clients=clients,
            classes=score.classes,
            pixel_dp=dict(row.pixel_dp) | noisy_scores(prepared.scheme, data, task),
            distance_correlation=correlation(prepared.scheme, data),
        )

    def _tested(self) -> tuple[nn.Module, Inputs]:
        """Return what is tested and on what: the server part on smashed data with a fed server."""
        inputs = self.prepared.data.test_inputs
        if self._halves is None:
            return self.prepared.scheme.model, inputs
        smashed = self._halves.smashed(inputs) if self._smashed is None else self._smashed()
        scheme, task = self.prepared.scheme, self.prepared.task
        self.received_bytes = tensor_bytes(smashed) + noisy_bytes(scheme, task, smashed)
        return self._halves.server, smashed

    def _of_published(self, row: RoundRow, common: Score) -> RoundRow:
        """Add the tests of the authors' script, and beside them those of the common model.

        Loss and metrics are the means over clients; the common model's are named ``common_...``.
        """
        data, task = self.prepared.data, self.prepared.task
        model, clients = copy.deepcopy(self.prepared.scheme.model), dict(row.clients)
        found: list[Score] = []
        for name, state in self.prepared.scheme.tested_as.items():
            if not len(rows := self._shares[name]):
                continue
            model.load_state_dict(state)
            own = evaluate(model, data.test_inputs[rows], data.test_targets[rows], task)
            check_score(own, f"test of client {name}")
            found.append(own)
            clients[name] = replace(
                clients.get(name, ClientRow()),
                test_loss=own.loss,
                test_samples=len(rows),
                metrics=own.metrics,
            )
        if not found:
            return replace(row, test_loss=common.loss, metrics=common.metrics, clients=clients)
        means = {
            name: math.fsum(own.metrics[name] for own in found) / len(found)
            for name in common.metrics
        }
        return replace(
            row,
            test_loss=math.fsum(own.loss for own in found) / len(found),
            accuracy=means.get("accuracy"),
            metrics=means | {f"common_{name}": value for name, value in common.metrics.items()},
            clients=clients,
            classes=common.classes,
        )


def check_score(score: Score, where: str) -> None:
    """Raise `TrainingError` for what is not a finite number."""
    if not math.isfinite(score.loss):
        raise TrainingError(f"the {where} loss is {score.loss}; lower the learning rate")
    for name, value in score.metrics.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"the metric {name} is {value} in the {where}; look at its function"
            )


def check_schedule(prepared: Prepared, schedule: Schedule) -> None:
    """Raise `InputError` for tests that cannot be made of what is trained."""
    task, classes = prepared.task, prepared.data.classes
    check_target(schedule, task)
    if schedule.per_client and prepared.own is not None:
        raise InputError.at(
            "per_client",
            "needs the data of all clients here, by which the test data are shared out, and those "
            "of each stay with it (the partition own over connections); leave it out",
        )
    if schedule.per_class and not task.class_metrics:
        raise InputError.at(
            "per_class", f"needs metrics of classes, and {task.name} has none; leave it out"
        )
    if schedule.per_class and (classes or 0) > MOST_CLASSES:
        raise InputError.at(
            "per_class",
            f"{prepared.data.name} has {classes:,} classes, and metrics are kept of at most "
            f"{MOST_CLASSES:,}; leave it out",
        )


def check_target(schedule: Schedule, task: Task) -> None:
    """Raise `InputError` for a target of a metric that the task does not have."""
    if schedule.target is None and schedule.target_accuracy is None:
        return
    name = "accuracy" if schedule.target is None else schedule.target[0]
    if name not in task.metrics:
        known = ", ".join(task.metrics) or "none"
        raise InputError.at(
            "target" if schedule.target else "target_accuracy",
            f"is of {name!r}, but the metrics of {task.name} are {known}"
            f"{did_you_mean(name, task.metrics)}",
        )
