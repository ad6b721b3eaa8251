"""How much of the classes learned earlier a model has lost, from its tests after every turn.

Rows of a table are turns (tasks learned one after the other), columns are classes (tasks tested);
an entry is the accuracy on one after the other. Free of PyTorch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.documents.checks import is_whole
from splitopt.errors import InputError, shown
from splitopt.training.by_turn import TurnRow
from splitopt.training.history import History

FloatArray = npt.NDArray[np.float64]
Trained = Sequence[Collection[int]]
"""Which classes were trained in each turn."""


@dataclass(frozen=True)
class Forgetting:
    """What became of accuracy over the turns of a training.

    Parameters
    ----------
    turns
        How many were tested.
    forgetting, backward_transfer
        After the last turn, see the functions of these names; None where no class was learned
        before it.
    mean_forgetting
        The mean over the turns after which it is known.
    highest, last
        The highest accuracy after any turn, and that after the last one; None without accuracy.
    """

    turns: int
    forgetting: float | None
    backward_transfer: float | None
    mean_forgetting: float | None
    highest: float | None
    last: float | None


def class_table(history: History) -> tuple[FloatArray, list[tuple[int, ...]]]:
    """Return the accuracy by class after every turn, and the classes that were trained in it.

    Returns
    -------
    Shape (turns, classes), from 0 to 1, NaN for a class without a test sample; and for each turn
    the classes of which its devices have training samples.

    Raises
    ------
    InputError
        No turn was tested, or the tests have no classes.
    """
    turns = [turn for _, turn in history.turns]
    classes = max((len(turn.by_class) for turn in turns), default=0)
    if not classes:
        raise InputError.at(
            "history",
            "has no tests by class after turns; train with test_after='turn' (--test-after turn) a "
            "task whose classes have a recall",
        )
    table = np.array([_padded(turn, classes) for turn in turns])
    return table, [turn.trained for turn in turns]


def forgetting(table: Any, trained: Trained | None = None, turn: int = -1) -> float | None:
    """Compute the forgetting after a turn, F_k of Chaudhry et al. (2018, Riemannian walk).

    The mean over the classes j that were trained before turn k of max over l < k of a_{l,j}, minus
    a_{k,j}: from -1 to 1, more is worse, and below 0 a class is known better than ever before. As
    in the paper the best time may be before the class was trained.

    Parameters
    ----------
    table
        Shape (turns, classes), accuracy from 0 to 1, NaN where there is none.
    trained
        The classes of each turn; by default class j is trained in turn j, which is the paper's
        sequence of tasks.
    turn
        k, counted from 0, from the end if negative.

    Returns
    -------
    None where no class was trained before.

    Raises
    ------
    InputError
        A table, a turn or classes that do not fit each other.
    """
    values, own, place = _checked(table, trained, turn)
    lost = [
        float(np.nanmax(values[:place, j]) - values[place, j])
        for j in sorted({j for before in own[:place] for j in before})
        if not np.isnan(values[place, j]) and not np.isnan(values[:place, j]).all()
    ]
    return float(np.mean(lost)) if lost else None


def backward_transfer(table: Any, trained: Trained | None = None, turn: int = -1) -> float | None:
    """Compute the backward transfer after a turn, BWT (Lopez-Paz and Ranzato 2017, Eq. 3).

    The mean over the classes j that were trained before turn k of a_{k,j} - a_{i,j}, where i is the
    last turn before k in which j was trained: from -1 to 1, below 0 for what was forgotten since.

    Parameters, errors and None are those of `forgetting`.
    """
    values, own, place = _checked(table, trained, turn)
    learned = {j: i for i, classes in enumerate(own[:place]) for j in classes}
    change = [values[place, j] - values[i, j] for j, i in learned.items()]
    known = [float(value) for value in change if not np.isnan(value)]
    return float(np.mean(known)) if known else None


def measured(history: History) -> Forgetting | None:
    """Return what became of accuracy over the turns of a history, None without tests of turns."""
    turns = [turn for _, turn in history.turns]
    if not turns:
        return None
    accuracies = [turn.accuracy for turn in turns if turn.accuracy is not None]
    highest = max(accuracies, default=None)
    last = turns[-1].accuracy
    if not any(turn.by_class for turn in turns):
        return Forgetting(len(turns), None, None, None, highest, last)
    table, trained = class_table(history)
    every = [forgetting(table, trained, k) for k in range(len(turns))]
    known = [value for value in every if value is not None]
    return Forgetting(
        len(turns),
        every[-1],
        backward_transfer(table, trained),
        float(np.mean(known)) if known else None,
        highest,
        last,
    )


def _padded(turn: TurnRow, classes: int) -> list[float]:
    known = [np.nan if value is None else value for value in turn.by_class]
    return known + [np.nan] * (classes - len(known))


def _checked(table: Any, trained: Trained | None, turn: int) -> tuple[FloatArray, Trained, int]:
    """Return table, classes and the turn, counted from 0."""
    try:
        values = np.asarray(table, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError.at("table", "must be numbers, shape (turns, classes)") from None
    if values.ndim != 2 or not values.size or np.isinf(values).any():
        raise InputError.at(
            "table", f"has shape {values.shape}; it must be (turns, classes), finite or NaN"
        )
    turns, classes = values.shape
    own = [{j} if j < classes else set() for j in range(turns)] if trained is None else trained
    if len(own) != turns:
        raise InputError.at(
            "trained", f"has {len(own)} turns, the table {turns}; give one for each"
        )
    _check_classes(own, classes)
    if not is_whole(turn, -turns) or turn >= turns:
        raise InputError.at("turn", f"is {shown(turn)}, it must be from {-turns} to {turns - 1}")
    return values, own, turn % turns


def _check_classes(trained: Iterable[Collection[int]], classes: int) -> None:
    for place, own in enumerate(trained):
        for label in own:
            if not is_whole(label, 0) or label >= classes:
                raise InputError.at(
                    f"trained[{place}]",
                    f"has {shown(label)}, which is no class of the table, 0 to {classes - 1}",
                )
