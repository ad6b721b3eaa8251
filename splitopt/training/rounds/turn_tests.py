"""The tests after every device's turn, inside a round."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.by_turn import TurnRow
from splitopt.training.preparing.prepare import Prepared
from splitopt.training.rounds.evaluate import evaluate
from splitopt.training.rounds.testing import MOST_CLASSES, check_score
from splitopt.training.schedule import Schedule
from splitopt.training.schemes import Client, Scheme

TurnCallback = Callable[[TurnRow, int], object]

_BY_CLASS = "recall"
"""The metric of classes that is the accuracy on the samples of each."""


class CallersError(Exception):
    """What a callback inside a round has raised, which is its caller's."""

    def __init__(self, raised: Exception) -> None:
        super().__init__()
        self.raised = raised


class TurnTests:
    """Tests the model whenever a turn of a scheme is over.

    Parameters
    ----------
    prepared
        What is trained; its scheme tells when a turn is over.
    schedule
        Whether to test at all.
    callback
        Called after each test with its row and the number of the round, from 1.

    Raises
    ------
    InputError
        As `check_turns`; or there is a callback and no test to call it after.
    """

    def __init__(
        self, prepared: Prepared, schedule: Schedule, callback: TurnCallback | None = None
    ) -> None:
        self.prepared, self._callback = prepared, callback
        self.is_wanted = schedule.test_after == "turn"
        self._rows: list[TurnRow] = []
        self._round = 0
        if self.is_wanted:
            check_turns(prepared.scheme)
        elif callback is not None:
            raise InputError.at(
                "turn_callback", "is called after tests of turns; ask for them, test_after='turn'"
            )

    def begin(self, number: int, is_tested: bool) -> None:
        """Begin a round (0, 1, ...), after the turns of which there are tests or not."""
        self._rows, self._round = [], number + 1
        self.prepared.scheme.after_turn = self._test if self.is_wanted and is_tested else None

    def taken(self) -> tuple[TurnRow, ...]:
        """Return the rows of the round."""
        return tuple(self._rows)

    def _test(self, clients: Sequence[Client]) -> None:
        """Test the model as it is, and keep the row."""
        data, task = self.prepared.data, self.prepared.task
        by_class = _BY_CLASS in task.class_metrics and (data.classes or 0) <= MOST_CLASSES
        score = evaluate(
            self.prepared.scheme.model,
            data.test_inputs,
            data.test_targets,
            task,
            by_class=by_class,
        )
        names = tuple(client.name for client in clients)
        check_score(score, f"test after the turn of {', '.join(names)}")
        row = TurnRow(
            names,
            score.loss,
            score.accuracy,
            score.metrics,
            score.classes.get(_BY_CLASS, ()),
            _trained([client.batches.targets for client in clients], data.classes),
        )
        self._rows.append(row)
        if self._callback is not None:
            try:
                self._callback(row, self._round)
            except Exception as error:
                raise CallersError(error) from error


def check_turns(scheme: Scheme) -> None:
    """Raise `InputError` where a scheme has no turns, or no model between them."""
    if not scheme.has_turns:
        raise InputError.at(
            "test_after",
            f"is turn, and under {scheme.name} no device has a turn after which the others go on; "
            "test after rounds, or train by vanilla, clustered, split_nn, or splitfed_v2 with the "
            "server order client",
        )
    for name in ("as_published", "fed_server"):
        if getattr(scheme.options, name):
            raise InputError.at(
                name,
                "does not go together with tests after turns, for which the parts of one client "
                "and of the server would have to be in one place; drop one",
            )


def _trained(targets: Sequence[Tensor], classes: int | None) -> tuple[int, ...]:
    """Return the classes of some clients' training samples, nothing where targets are no labels."""
    if classes is None or any(own.is_floating_point() for own in targets):
        return ()
    found = torch.cat([torch.unique(own.flatten()) for own in targets]).unique()  # type: ignore[no-untyped-call]
    return tuple(label for label in found.tolist() if 0 <= label < classes)
