"""Ways to fill layers that were not measured on a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from splitopt.errors import InputError
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.machine_times import COLUMNS, MachineTimes, describe_rows

Fill: TypeAlias = str | Mapping[str, str]

WAYS = "'zero', 'flop_ratio' or {'machine': the name of another machine}"


@dataclass(frozen=True)
class LayerWork:
    """Work of each layer by itself, FLOP per sample, arrays of shape ``(L,)``."""

    forward: Array
    backward: Array

    def of(self, column: str) -> Array:
        """Return the work that the times of a `MachineTimes` column are set in relation to.

        The weight update has no work of its own in a profile: it is related to the whole layer.
        """
        if column == "forward_s":
            return self.forward
        return self.backward if column == "backward_s" else self.forward + self.backward


def check_fill(how: Fill) -> None:
    """Raise `InputError` if `how` is not a way to fill."""
    if isinstance(how, Mapping):
        if set(how) != {"machine"} or not isinstance(how["machine"], str):
            raise InputError(f"fill {dict(how)!r} is unknown; use {WAYS}")
    elif how not in ("zero", "flop_ratio"):
        raise InputError(f"fill {how!r} is unknown; use {WAYS}")


def filled(
    machines: Mapping[str, MachineTimes],
    machine: str,
    how: Fill,
    layers: Sequence[str],
    work: LayerWork | None,
) -> tuple[MachineTimes, str]:
    """Fill the unmeasured layers of one machine.

    Parameters
    ----------
    machines
        All machines of the profile; `machine` is one of them, with a layer that is not measured.
    how
        One of the ways that `ModelProfile.with_fill` describes.
    layers, work
        Names of the layers, and their work, which ``"flop_ratio"`` needs.

    Returns
    -------
    The times with every layer filled, and the sentence for `Provenance.fills`.
    """
    times = machines[machine]
    rows = describe_rows(times.measured, layers)
    if not times.measured.any():
        raise InputError(
            f"machine {machine!r} has no measured layer at all, so there is nothing to fill "
            "from; choose another machine"
        )
    if how == "zero":
        values = {name: getattr(times, name) for name in COLUMNS}
        sentence = f"{machine}: {rows} filled with zero"
    elif how == "flop_ratio":
        assert work is not None  # the caller has it for this way
        values = {name: _by_work(times, name, work.of(name), machine) for name in COLUMNS}
        sentence = (
            f"{machine}: {rows} filled with the layer's FLOP times seconds per FLOP of the "
            "measured layers"
        )
    else:
        assert isinstance(how, Mapping)
        other = _other(machines, machine, how["machine"], layers)
        label = f"{how['machine']!r} to {machine!r}"
        values = {name: _by_machine(times, other, name, label) for name in COLUMNS}
        sentence = (
            f"{machine}: {rows} filled with the times of {how['machine']}, scaled by the sums "
            "over the layers that both have"
        )
    found = MachineTimes(**values, measured=np.ones_like(times.measured), batch=times.batch)
    return found, sentence


def _by_work(times: MachineTimes, column: str, work: Array, machine: str) -> Array:
    """Seconds per FLOP of the measured layers, applied to the others."""
    if np.any(work < 0):
        row = int(np.flatnonzero(work < 0)[0]) + 1
        raise InputError(
            f"fill 'flop_ratio': the device work falls at row {row}, so the layer has no FLOP to "
            "scale by; use another way to fill"
        )
    known: Array = getattr(times, column)
    basis = work[times.measured].sum()
    if basis == 0:
        raise InputError(
            f"fill 'flop_ratio': the measured layers of {machine!r} have no work to scale by; "
            "use another way to fill"
        )
    ratio = known[times.measured].sum() / basis
    return np.where(times.measured, known, ratio * work)


def _other(
    machines: Mapping[str, MachineTimes], machine: str, name: str, layers: Sequence[str]
) -> MachineTimes:
    """Find the machine to fill from, and check that it has what is missing."""
    if name == machine:
        raise InputError(f"machine {machine!r} cannot be filled from itself; name another one")
    if name not in machines:
        raise InputError(f"there is no machine {name!r}; the machines are {', '.join(machines)}")
    times, other = machines[machine], machines[name]
    if np.any(~times.measured & ~other.measured):
        missing = describe_rows(times.measured | other.measured, layers)
        raise InputError(
            f"machine {machine!r} cannot be filled from {name!r}, which lacks {missing} as well; "
            "name another machine or fill that one first"
        )
    if not np.any(times.measured & other.measured):
        raise InputError(
            f"machine {machine!r} cannot be filled from {name!r}: no layer was measured on both"
        )
    return other


def _by_machine(times: MachineTimes, other: MachineTimes, column: str, label: str) -> Array:
    """Scale the times of the other machine by the sums over the layers measured on both."""
    mine: Array = getattr(times, column)
    theirs: Array = getattr(other, column)
    both = times.measured & other.measured
    mine_sum, theirs_sum = mine[both].sum(), theirs[both].sum()
    if theirs_sum == 0 and (mine_sum > 0 or np.any(theirs[~times.measured])):
        raise InputError(
            f"no ratio from {label}: {column} is zero there in every layer measured on both; "
            "use another machine"
        )
    ratio = mine_sum / theirs_sum if theirs_sum else 0.0
    return np.where(times.measured, mine, ratio * theirs)
