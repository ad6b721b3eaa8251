"""How many rounds a training takes to its target: a fitted curve, or a table.

The curve is R = R0 (1 + c1 m) I^(c2 s(l)) with m = mean_n 1/b_n and s(l) the square root of the
fraction of the parameters in the layers up to l. It is a mean over devices of what each batch size
alone would take, R = mean_n R0 (1 + c1 / b_n) I^(c2 s(l)), and so a table over (batch size, cut,
interval) stands for both: R = mean_n T[b_n, l, I].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.arrays import boolean_table, number, number_table
from splitopt.problems.base import BoolArray, FloatArray, IntArray, check_keys
from splitopt.problems.ranges import check_factor

CURVE = ("rounds", "batch_factor", "interval_exponent", "parameter_share")
"""R0, c1, c2 and the fraction of the parameters in the layers up to each cut, shape (L,)."""
TABLE = ("table",)
MOST_EXPONENT = 20.0
"""Of the interval: beyond it, rounds are no number that anybody could train."""


def read_rounds(
    value: Any, batch_sizes: IntArray, layers: int, intervals: IntArray
) -> dict[str, Any]:
    """Read the field ``rounds``: a curve or a table, checked, with read-only arrays.

    Raises
    ------
    InputError
        It is neither, or a number in it does not fit; a missing one says how to measure it.
    """
    if not isinstance(value, Mapping):
        raise InputError.at(
            "rounds",
            f"must be an object with {', '.join(CURVE)}, or with a 'table' of rounds by batch "
            "size, cut and interval; 'splitopt calibrate' measures a curve",
        )
    if "table" in value:
        return _read_table(value, (len(batch_sizes), layers, len(intervals)))
    for name in CURVE:
        if name not in value:
            raise InputError.at(
                f"rounds.{name}",
                "is missing; measure it by 'splitopt calibrate', or give a 'table' of rounds",
            )
    check_keys(value, CURVE, (), "rounds")
    share = number_table(
        value["parameter_share"], "rounds.parameter_share", "fractions from 0 to 1", (layers,)
    )
    if share.max() > 1 or (np.diff(share) < 0).any():
        raise InputError.at(
            "rounds.parameter_share",
            "must rise from cut to cut and end at 1 or below: it counts all layers up to a cut",
        )
    read: dict[str, Any] = {
        "rounds": number(value["rounds"], "rounds.rounds", "rounds", positive=True),
        "batch_factor": number(value["batch_factor"], "rounds.batch_factor", "samples"),
        "interval_exponent": number(
            value["interval_exponent"], "rounds.interval_exponent", "an exponent"
        ),
    }
    for name, found in read.items():
        check_factor(found, f"rounds.{name}")
    if read["interval_exponent"] > MOST_EXPONENT:
        raise InputError.at(
            "rounds.interval_exponent",
            f"is {read['interval_exponent']:g}, it must be at most {MOST_EXPONENT:g}",
        )
    return {**read, "parameter_share": share}


def _read_table(value: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    check_keys(value, TABLE, ("reached",), "rounds")
    table = number_table(value["table"], "rounds.table", "rounds", shape)
    if (table <= 0).any():
        place = "".join(f"[{i}]" for i in np.argwhere(table <= 0)[0])
        raise InputError.at(
            f"rounds.table{place}",
            "is 0, and no training takes none; mark plans that do not reach the target in "
            "'reached'",
        )
    check_factor(table, "rounds.table")
    found: dict[str, Any] = {"table": table}
    if value.get("reached") is not None:
        found["reached"] = boolean_table(value["reached"], "rounds.reached", shape)
    return found


def rounds_table(read: Mapping[str, Any], batch_sizes: IntArray, intervals: IntArray) -> FloatArray:
    """Return T, shape (B, L, K), infinite where the target is not reached."""
    if "table" in read:
        reached: BoolArray | None = read.get("reached")
        table: FloatArray = read["table"]
        found = table.copy() if reached is None else np.where(reached, table, np.inf)
    else:
        found = curve_rounds(
            read["rounds"],
            read["batch_factor"],
            read["interval_exponent"],
            read["parameter_share"][None, :, None],
            1.0 / batch_sizes[:, None, None],
            intervals[None, None, :],
        )
    found.setflags(write=False)
    return found


def curve_rounds(
    rounds: Any, batch_factor: Any, interval_exponent: Any, share: Any, inverse: Any, interval: Any
) -> Any:
    """Evaluate the curve R0 (1 + c1 m) I^(c2 sqrt(share)); arrays broadcast.

    Parameters
    ----------
    share
        Fraction of the parameters in the layers on the devices.
    inverse
        m, the mean of 1 / batch size.
    """
    with np.errstate(over="ignore"):  # the caller refuses what no float holds
        grown = np.asarray(interval, dtype=np.float64) ** (interval_exponent * np.sqrt(share))
        return rounds * (1.0 + batch_factor * inverse) * grown
