"""The data of `ClusterAndSpectrum`: times, counts and cluster sizes, checked, and their terms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.arrays import number, number_table, whole_number
from splitopt.problems.base import FloatArray, IntArray, Problem, check_objective
from splitopt.problems.cluster_and_spectrum.decision import (
    ClusterAndSpectrumDecision,
    whole_numbers,
)
from splitopt.problems.cluster_and_spectrum.terms import phase_terms
from splitopt.problems.ranges import MOST, MOST_TOTAL, check_total

TIMES = (
    "broadcast_s",
    "forward_s",
    "backward_s",
    "upload_smashed_s",
    "download_gradient_s",
    "upload_model_s",
)
TIED = "upload_tied_s"
SCALARS = ("server_s_per_device", "local_epochs", "subcarriers")
MOST_SUBCARRIERS = 1_000_000
"""More than this are refused: sharing them would take hours, and a table of them the memory."""
PHASES = ("starting", "inner", "ending")

_FEW_CLUSTERS = 40
"""Different sets of devices, when those that are alike count once, that are left to Python."""


@dataclass(frozen=True, eq=False, repr=False)
class ClusterAndSpectrumData(Problem[ClusterAndSpectrumDecision]):
    """The fields of `ClusterAndSpectrum`, which documents them, and what follows from them."""

    name: ClassVar[str] = "cluster_and_spectrum"
    objectives: ClassVar[tuple[str, ...]] = ("round",)
    decision_class: ClassVar[type[Any]] = ClusterAndSpectrumDecision

    broadcast_s: FloatArray
    forward_s: FloatArray
    backward_s: FloatArray
    upload_smashed_s: FloatArray
    download_gradient_s: FloatArray
    upload_model_s: FloatArray
    server_s_per_device: float
    local_epochs: int
    subcarriers: int
    cluster_sizes: IntArray
    objective: str = "round"
    device_model_over_full_band: bool = False
    upload_tied_s: FloatArray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        check_objective(self.objective, self.objectives, self.name)
        shape: tuple[int, ...] = (-1,)
        for field in TIMES:
            times = number_table(getattr(self, field), field, "times in s", shape)
            shape = times.shape
            object.__setattr__(self, field, times)
        beside = np.zeros(shape) if self.upload_tied_s is None else self.upload_tied_s
        times = number_table(beside, TIED, "times in s", shape)
        object.__setattr__(self, TIED, times)
        object.__setattr__(self, "server_s_per_device", _seconds(self.server_s_per_device))
        for field, what in (("local_epochs", "local epochs"), ("subcarriers", "subcarriers")):
            object.__setattr__(self, field, _count(getattr(self, field), field, what))
        if not isinstance(self.device_model_over_full_band, bool | np.bool_):
            raise InputError.at("device_model_over_full_band", "must be true or false")
        object.__setattr__(
            self, "device_model_over_full_band", bool(self.device_model_over_full_band)
        )
        sizes = whole_numbers(self.cluster_sizes, "cluster_sizes", "devices")
        if (sizes < 1).any():
            place = int((sizes < 1).argmax())
            raise InputError.at(f"cluster_sizes[{place}]", "is 0, a cluster has at least 1 device")
        if (total := int(sizes.sum())) != self.devices:
            raise InputError.at(
                "cluster_sizes",
                f"add up to {total}, they must add up to the {self.devices} devices",
            )
        if self.subcarriers > MOST_SUBCARRIERS:
            raise InputError.at(
                "subcarriers",
                f"is {self.subcarriers}, it must be at most {MOST_SUBCARRIERS}: take wider ones",
            )
        sizes.setflags(write=False)
        object.__setattr__(self, "cluster_sizes", sizes)
        phases = float(self.devices) * (self.local_epochs + 1)  # six times in each, at most
        if 8 * phases * MOST > MOST_TOTAL:
            longest = max(float(getattr(self, field).max()) for field in (*TIMES, TIED))
            check_total(phases * (7 * longest + self.server_s_per_device), "the times of a round")

    def data(self) -> dict[str, Any]:
        """Return the arrays and scalars of the instance file."""
        stated = (*TIMES, *SCALARS, "cluster_sizes")
        found: dict[str, Any] = {field: getattr(self, field) for field in stated}
        if self.upload_tied_s.any():
            found[TIED] = self.upload_tied_s
        if self.device_model_over_full_band:
            found["device_model_over_full_band"] = True
        return found

    @property
    def devices(self) -> int:
        """Number of devices N."""
        return len(self.broadcast_s)

    @property
    def inner_phases(self) -> int:
        """How many inner phases a cluster has: L - 1."""
        return self.local_epochs - 1

    @cached_property
    def is_small(self) -> bool:
        """Whether devices are so alike that few clusters differ: then Python tries them all.

        That takes less time than compiling the loops, or loading what was compiled.
        """
        counts = np.unique(self.terms, axis=0, return_counts=True)[1]
        return bool(np.log2(counts + 1.0).sum() <= np.log2(_FEW_CLUSTERS) + 1e-9)

    @cached_property
    def terms(self) -> FloatArray:
        """Shape (N, 6): fixed and spectral seconds of the starting, the inner, the ending phase.

        A device with x subcarriers takes ``terms[:, 2 p] + terms[:, 2 p + 1] / x`` in phase p.
        """
        times = {field: getattr(self, field) for field in (*TIMES, TIED)}
        found = phase_terms(times, self.subcarriers, self.device_model_over_full_band)
        found.setflags(write=False)
        return found


def _seconds(value: Any) -> float:
    """Read the server's seconds."""
    return number(value, "server_s_per_device", "time in s")


def _count(value: Any, field: str, what: str) -> int:
    """Read a whole number >= 1."""
    try:
        return whole_number(value, field, 1)
    except InputError as error:
        raise InputError(f"{error} ({what})") from None
