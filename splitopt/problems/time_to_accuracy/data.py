"""The data of `TimeToAccuracy`: seconds of a sample, what may be chosen, rounds; checked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from splitopt.documents.checks import check_choice
from splitopt.errors import InputError
from splitopt.problems.arrays import index_array, number_table
from splitopt.problems.base import BoolArray, FloatArray, IntArray, Problem, check_objective
from splitopt.problems.ranges import MOST_FACTOR, check_span, check_total
from splitopt.problems.time_to_accuracy.convergence_bound import read_bound
from splitopt.problems.time_to_accuracy.decision import TimeToAccuracyDecision
from splitopt.problems.time_to_accuracy.rounds import read_rounds, rounds_table

TABLES = ("forward_s", "upload_s", "gradient_s", "backward_s", "model_down_s", "model_up_s")
"""Seconds by device and cut: of one sample, and of one aggregation for the last two."""
CUTS = ("common", "per_device")
MOST_SIZES = 4096
"""Batch sizes or intervals to choose from."""


@dataclass(frozen=True, eq=False, repr=False)
class TimeToAccuracyData(Problem[TimeToAccuracyDecision]):
    """The fields of `TimeToAccuracy`, which documents them, and what follows from them."""

    name: ClassVar[str] = "time_to_accuracy"
    objectives: ClassVar[tuple[str, ...]] = ("time",)
    decision_class: ClassVar[type[Any]] = TimeToAccuracyDecision

    forward_s: FloatArray
    upload_s: FloatArray
    server_s: FloatArray
    gradient_s: FloatArray
    backward_s: FloatArray
    model_down_s: FloatArray
    model_up_s: FloatArray
    batch_sizes: IntArray
    intervals: IntArray
    rounds: Any
    objective: str = "time"
    cuts: str = "common"
    largest_batch: IntArray = None  # type: ignore[assignment]
    convergence_bound: Any = None

    def __post_init__(self) -> None:
        check_objective(self.objective, self.objectives, "")
        check_choice("cuts", self.cuts, CUTS)
        shape: tuple[int, ...] = (-1, -1)
        for field in TABLES:
            table = number_table(getattr(self, field), field, "times in s", shape)
            self._set(field, table)
            shape = table.shape
        self._set("server_s", number_table(self.server_s, "server_s", "times in s", shape[1:]))
        check_span({field: getattr(self, field) for field in (*TABLES, "server_s")})
        for field, rule in (("batch_sizes", "samples"), ("intervals", "steps")):
            self._set(field, _choices(getattr(self, field), field, rule))
        self._set("largest_batch", self._read_largest(shape))
        self._set("rounds", read_rounds(self.rounds, self.batch_sizes, shape[1], self.intervals))
        if self.convergence_bound is not None:
            self._set("convergence_bound", read_bound(self.convergence_bound, shape[1]))
        self._check_sizes()

    def _set(self, field: str, value: Any) -> None:
        object.__setattr__(self, field, value)

    def _read_largest(self, shape: tuple[int, ...]) -> IntArray:
        """Read the largest batches, whole numbers >= 0."""
        given: Any = self.largest_batch
        if given is None:
            found = np.full(shape, self.batch_sizes[-1])
        else:
            numbers = number_table(given, "largest_batch", "samples", shape)
            odd = (numbers != np.floor(numbers)) | (numbers > 2**53)
            if odd.any():
                n, cut = (int(k) for k in np.argwhere(odd)[0])
                raise InputError.at(
                    f"largest_batch[{n}][{cut}]",
                    f"is {numbers[n, cut]:g}, it must be a whole number of samples",
                )
            found = numbers.astype(np.int64)
        found.setflags(write=False)
        return found

    def _check_sizes(self) -> None:
        """Reject numbers whose products no float holds."""
        table = self.rounds_by_choice
        finite = table[np.isfinite(table)]
        if not np.isfinite(table).all() and "reached" not in self.rounds:
            raise InputError.at("rounds", "give a number of rounds that no float holds")
        if finite.size and finite.max() > MOST_FACTOR:
            raise InputError.at(
                "rounds", f"are up to {finite.max():g}, they must be at most {MOST_FACTOR:g}"
            )
        with np.errstate(over="ignore"):
            each = sum(getattr(self, field) for field in TABLES) + self.server_s
            most = float(finite.max(initial=1.0)) * float(each.max()) * float(self.batch_sizes[-1])
        check_total(most * (self.devices + 2), "the times of all rounds")
        if self.cuts == "per_device":
            # The relaxation "no cut beyond l takes the rounds of l" needs rounds that do not fall.
            with np.errstate(invalid="ignore"):
                falls = table[:, 1:] < table[:, :-1]
            if falls.any():
                b, cut, k = (int(i) for i in np.argwhere(falls)[0])
                raise InputError.at(
                    "rounds.table",
                    f"falls from cut {cut + 1} to {cut + 2} at batch size {self.batch_sizes[b]} and"
                    f" interval {self.intervals[k]}; where devices cut apart, the largest cut "
                    "counts, and its rounds must not be fewer than those of smaller ones",
                )

    def data(self) -> dict[str, Any]:
        """Return the data of the instance file, optional fields only where they say anything."""
        fields = (*TABLES[:2], "server_s", *TABLES[2:], "batch_sizes", "intervals", "rounds")
        found = {field: getattr(self, field) for field in (*fields, "cuts", "largest_batch")}
        if self.convergence_bound is not None:
            found["convergence_bound"] = self.convergence_bound
        return found

    @property
    def devices(self) -> int:
        """Number of devices N."""
        return int(self.forward_s.shape[0])

    @property
    def layers(self) -> int:
        """Number of layers L, which is also the last cut."""
        return int(self.forward_s.shape[1])

    @cached_property
    def rounds_by_choice(self) -> FloatArray:
        """T, shape (B, L, K): rounds where all devices have one batch size; infinite if never."""
        return rounds_table(self.rounds, self.batch_sizes, self.intervals)

    @cached_property
    def out_s(self) -> FloatArray:
        """Shape (N, L): seconds of a sample until its activations are at the server."""
        return np.asarray(self.forward_s + self.upload_s)

    @cached_property
    def back_s(self) -> FloatArray:
        """Shape (N, L): seconds of a sample behind the server."""
        return np.asarray(self.gradient_s + self.backward_s)

    @cached_property
    def exchange_s(self) -> FloatArray:
        """Shape (N, L): seconds in which a device's part goes up and down."""
        return np.asarray(self.model_down_s + self.model_up_s)

    @cached_property
    def fits(self) -> BoolArray:
        """Shape (N, L): whether a device can take a cut with the smallest batch at least."""
        return np.asarray(self.largest_batch >= self.batch_sizes[0])

    @cached_property
    def possible(self) -> BoolArray:
        """Shape (L,): cuts that may be the largest one.

        The largest of all with a common cut. Else every device has some cut up to there, and one
        device this very cut.
        """
        if self.cuts == "common":
            return np.asarray(self.fits.all(axis=0))
        each = np.logical_or.accumulate(self.fits, axis=1).all(axis=0)
        return np.asarray(each & self.fits.any(axis=0))

    @property
    def is_reachable(self) -> bool:
        """Whether some possible largest cut reaches the target with some batch and interval."""
        return bool(np.isfinite(self.rounds_by_choice[:, self.possible]).any())


def _choices(value: Any, source: str, rule: str) -> IntArray:
    """Read whole numbers >= 1 that rise."""
    found = np.array(index_array(value, source))
    if not 1 <= found.size <= MOST_SIZES:
        raise InputError.at(source, f"has {found.size} entries; give from 1 to {MOST_SIZES:,}")
    if (low := found < 1).any():
        place = int(low.argmax())
        raise InputError.at(
            f"{source}[{place}]", f"is {found[place]}, it must be at least 1 ({rule})"
        )
    if (still := np.diff(found) <= 0).any():
        place = int(still.argmax()) + 1
        raise InputError.at(
            f"{source}[{place}]",
            f"is {found[place]}, after {found[place - 1]}; list each once, rising",
        )
    found.setflags(write=False)
    return found
