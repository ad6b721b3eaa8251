"""Learning rates that change from round to round: by which factor, of a round's number alone.

Free of PyTorch. Every process of a training knows the number of the round, and so the same factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from splitopt.documents.checks import is_number, is_whole
from splitopt.errors import InputError, shown

CONSTANT = "constant"
FORMS = "constant, step:EVERY:FACTOR, cosine:ROUNDS, or your own function as FILE.py:NAME"
Factor = Callable[[int], float]
"""Number of a round (0, 1, ...) -> what the learning rates are multiplied by."""


def factor_of(schedule: str, warmup: int) -> Factor | None:
    """Read a schedule of learning rates.

    Parameters
    ----------
    schedule
        ``"constant"``; ``"step:EVERY:FACTOR"``: times the factor after every so many rounds;
        ``"cosine:ROUNDS"``: half a cosine from 1 down to 0 after so many rounds, and 0 from then
        on; ``"FILE.py:NAME"``: the user's function of the number of a round, 0 for the first.
        They are the values of ``StepLR``, ``CosineAnnealingLR`` and ``LambdaLR`` of PyTorch,
        stepped once a round.
    warmup
        Rounds that come before, in which the factor rises in equal steps to 1: ``LinearLR`` from
        1 / `warmup`. The schedule begins after them.

    Returns
    -------
    None where nothing changes.

    Raises
    ------
    InputError
        It is none of these.
    """
    if not is_whole(warmup, 0):
        raise InputError.at("lr_warmup", f"is {shown(warmup)}, it must be a whole number >= 0")
    after = _read(schedule)
    if after is None and not warmup:
        return None

    def factor(number: int) -> float:
        if number < warmup:
            return (number + 1) / warmup
        return 1.0 if after is None else after(number - warmup)

    return factor


def _read(schedule: Any) -> Factor | None:
    if schedule == CONSTANT:
        return None
    form, _, values = schedule.partition(":") if isinstance(schedule, str) else ("", "", "")
    if form == "step":
        every, _, times = values.partition(":")
        return _step(_whole(every, schedule), _number(times, schedule))
    if form == "cosine":
        return _cosine(_whole(values, schedule))
    if not values:
        raise InputError.at("lr_schedule", f"is {shown(schedule)}, it must be {FORMS}")
    return _own(schedule)


def _step(every: int, times: float) -> Factor:
    return lambda number: float(times ** (number // every))


def _cosine(rounds: int) -> Factor:
    return lambda number: 0.5 * (1 + math.cos(math.pi * min(number, rounds) / rounds))


def _own(target: str) -> Factor:
    """Return the user's function with its values checked; its file is run when it is first used."""

    @cache
    def function() -> Callable[[int], Any]:
        from splitopt.profiles.tracing.source import open_function

        return open_function(target)

    def factor(number: int) -> float:
        from splitopt.user_code import reason

        own = function()
        try:
            found = own(number)
        except Exception as error:
            raise InputError.at(
                "lr_schedule",
                f"{target} cannot be called ({reason(error)}); it is called with the number of a "
                "round, 0 for the first, and returns a factor",
            ) from None
        if not is_number(found) or not 0 <= found < math.inf:
            raise InputError.at(
                "lr_schedule",
                f"{target} gives {shown(found)} for round {number + 1}, it must be a number >= 0",
            )
        return float(found)

    return factor


def _whole(text: str, schedule: str) -> int:
    if not text.isdecimal() or not text.isascii() or len(text) > 9 or int(text) < 1:
        raise InputError.at(
            "lr_schedule",
            f"{shown(schedule)} needs a whole number >= 1 after the first colon; it must be "
            f"{FORMS}",
        )
    return int(text)


def _number(text: str, schedule: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise InputError.at(
            "lr_schedule",
            f"{shown(schedule)} needs a factor >= 0 after the second colon; it must be {FORMS}",
        )
    return value
