"""Work that a profile does not hold: operators that ran and whose work nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from splitopt.documents.checks import is_whole
from splitopt.documents.fields import expect_keys, expect_name, expect_number, expect_text
from splitopt.errors import InputError, shown
from splitopt.profiles.table.arrays import Array

TRIFLE = 0.01
"""Uncounted work that may be left out, as a share of the counted work of the same layer."""
_PHASES = ("forward", "backward")
_SHOWN = 6


@dataclass(frozen=True)
class Uncounted:
    """An operator without a formula in one layer of a profile.

    Parameters
    ----------
    operator
        Its name, such as ``mylib::scan``.
    layer
        The layer of the profile that it ran in.
    phase
        ``forward`` or ``backward``.
    runs
        How often it runs in one pass over a batch.
    elements
        Numbers that go in and come out in all runs, per sample.
    at_most_flop
        An upper estimate of its work per sample: one multiply-accumulate for every pair of a
        number that goes in and one that comes out.
    """

    operator: str
    layer: str
    phase: str
    runs: int
    elements: float
    at_most_flop: float

    FIELDS: ClassVar[tuple[str, ...]] = (
        "operator",
        "layer",
        "phase",
        "runs",
        "elements",
        "at_most_flop",
    )

    def __post_init__(self) -> None:
        expect_name(self.operator, "operator")
        expect_text(self.layer, "layer")
        if self.phase not in _PHASES:
            raise InputError.at("phase", f"is {shown(self.phase)}; choose forward or backward")
        if not is_whole(self.runs, 1):
            raise InputError.at("runs", f"is {shown(self.runs)}; give a whole number >= 1")
        for name in ("elements", "at_most_flop"):
            object.__setattr__(self, name, expect_number(getattr(self, name), name, 0))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Any, field: str) -> Uncounted:
        """Read what `to_dict` wrote; raise `InputError` that starts with `field` otherwise."""
        found = expect_keys(document, field, cls.FIELDS)
        try:
            return cls(**found)
        except InputError as error:
            raise InputError(f"{field}.{error}") from None


def read_uncounted(document: Any, field: str = "uncounted") -> tuple[Uncounted, ...]:
    """Read the list in a profile file."""
    if not isinstance(document, list):
        raise InputError.at(field, f"must be a list, found {type(document).__name__}")
    return tuple(
        Uncounted.from_dict(item, f"{field}[{index}]") for index, item in enumerate(document)
    )


def check_uncounted(entries: Any, layers: Sequence[str]) -> tuple[Uncounted, ...]:
    """Check the entries of a profile with these layers and return them as a tuple."""
    checked = tuple(entries)
    for index, item in enumerate(checked):
        if not isinstance(item, Uncounted):
            raise InputError.at(f"uncounted[{index}]", f"is {shown(item)}; give an Uncounted")
        if item.layer not in layers:
            raise InputError.at(
                f"uncounted[{index}].layer", f"{shown(item.layer)} is not one of the layers"
            )
    return checked


def uncounted_note(entries: Sequence[Uncounted]) -> str:
    """Return the sentence that names all operators, how often they ran and on how much."""
    lines = [
        f"{name} ({_times(runs)} in a pass, {elements:,.0f} numbers per sample)"
        for name, (runs, elements) in _by_operator(entries).items()
    ]
    return f"Not counted in the work, since its cost is not known: {'; '.join(lines)}."


def work_notes(entries: Sequence[Uncounted]) -> tuple[str, ...]:
    """Return what a plan says about work that its profile does not hold."""
    return (uncounted_note(entries),) if entries else ()


def more_than_a_trifle(
    entries: Sequence[Uncounted], layers: Sequence[str], work: Mapping[str, Array]
) -> tuple[Uncounted, ...]:
    """Return the entries that may matter: those of layers with too much of them.

    In every other layer, forward and backward alike, the upper estimates add up to at most
    `TRIFLE` of the counted work. So they do in any run of such layers, which is what a device, a
    server or a node has.

    Parameters
    ----------
    entries
        The uncounted operators of a profile.
    layers
        The names of its L layers.
    work
        FLOP of the first ``l`` layers, shape ``(L,)``, of ``forward`` and of ``backward``.
    """
    found: list[Uncounted] = []
    if not entries:  # asked for each device of a fleet
        return ()
    for phase in _PHASES:
        for layer, counted in zip(layers, np.diff(work[phase], prepend=0.0), strict=True):
            here = [item for item in entries if item.layer == layer and item.phase == phase]
            if sum(item.at_most_flop for item in here) > TRIFLE * max(float(counted), 0.0):
                found += here
    return tuple(found)


def what_is_missing(missing: Sequence[Uncounted], machines: Sequence[str]) -> str:
    """Return the sentence on work that a profile lacks, and what to do without it."""
    names = list(_by_operator(missing))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    listed = ", ".join(names[:_SHOWN]) + more
    layers = list(dict.fromkeys(item.layer for item in missing))
    where = f"layer {layers[0]}" if len(layers) == 1 else f"{len(layers)} layers, {layers[0]} first"
    there = f" (it has {', '.join(machines)})" if machines else ""
    return (
        f"there is no formula for {listed} in {where}, so "
        "seconds do not follow from a speed ('compute'); profile the model with --measure MACHINE "
        f"and plan with 'machine' instead{there}, or declare the work with "
        "--flop OPERATOR=FILE.py:FUNCTION (flop_formulas in profiles.trace)"
    )


def _by_operator(entries: Iterable[Uncounted]) -> Mapping[str, tuple[int, float]]:
    found: dict[str, tuple[int, float]] = {}
    for item in entries:
        runs, elements = found.get(item.operator, (0, 0.0))
        found[item.operator] = (runs + item.runs, elements + item.elements)
    return found


def _times(runs: int) -> str:
    return "once" if runs == 1 else f"{runs} times"
