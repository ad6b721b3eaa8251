"""The data of `CutAndClusters`: the times of a round at every cut, checked, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from splitopt.errors import InputError
from splitopt.problems.arrays import boolean_table, number_table, read_names
from splitopt.problems.base import BoolArray, FloatArray, IntArray, Problem, check_objective
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum
from splitopt.problems.cluster_and_spectrum.data import TIED, TIMES
from splitopt.problems.cut_and_clusters.decision import CutAndClustersDecision
from splitopt.problems.ranges import check_total

TABLES = (*TIMES, "server_s")
"""The tables of shape (V, N)."""


@dataclass(frozen=True, eq=False, repr=False)
class CutAndClustersData(Problem[CutAndClustersDecision]):
    """The fields of `CutAndClusters`, which documents them, and what follows from them."""

    name: ClassVar[str] = "cut_and_clusters"
    objectives: ClassVar[tuple[str, ...]] = ("round",)
    decision_class: ClassVar[type[Any]] = CutAndClustersDecision

    cuts: tuple[str, ...]
    broadcast_s: FloatArray
    forward_s: FloatArray
    backward_s: FloatArray
    upload_smashed_s: FloatArray
    download_gradient_s: FloatArray
    upload_model_s: FloatArray
    server_s: FloatArray
    local_epochs: int
    subcarriers: int
    cluster_sizes: IntArray
    allowed: BoolArray | None = None
    cut_per_cluster: bool = False
    device_model_over_full_band: bool = False
    objective: str = "round"
    upload_tied_s: FloatArray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        check_objective(self.objective, self.objectives, self.name)
        object.__setattr__(self, "cuts", read_names(self.cuts, "cuts"))
        shape: tuple[int, ...] = (len(self.cuts), -1)
        for field in TABLES:
            times = number_table(getattr(self, field), field, "times in s", shape)
            shape = times.shape
            object.__setattr__(self, field, times)
        beside = np.zeros(shape) if self.upload_tied_s is None else self.upload_tied_s
        object.__setattr__(self, TIED, number_table(beside, TIED, "times in s", shape))
        given = np.ones(shape, dtype=np.bool_) if self.allowed is None else self.allowed
        object.__setattr__(self, "allowed", boolean_table(given, "allowed", shape))
        for field in ("cut_per_cluster", "device_model_over_full_band"):
            if not isinstance(getattr(self, field), bool | np.bool_):
                raise InputError.at(field, "must be true or false")
            object.__setattr__(self, field, bool(getattr(self, field)))
        first = self.at_cut(0)  # checks the counts, sizes and times
        for field in ("local_epochs", "subcarriers", "cluster_sizes"):
            object.__setattr__(self, field, getattr(first, field))
        for cut in range(1, len(self.cuts)):
            self.at_cut(cut)
        check_total(self.local_epochs * self.server_s.sum(), "the server's seconds of a round")

    def data(self) -> dict[str, Any]:
        """Return the arrays and scalars of the instance file."""
        counts = ("local_epochs", "subcarriers", "cluster_sizes")
        found: dict[str, Any] = {"cuts": list(self.cuts)}
        found |= {field: getattr(self, field) for field in (*TABLES, *counts)}
        if self.upload_tied_s.any():
            found[TIED] = self.upload_tied_s
        if not self.mask.all():
            found["allowed"] = self.mask
        for field in ("cut_per_cluster", "device_model_over_full_band"):
            if getattr(self, field):
                found[field] = True
        return found

    @property
    def devices(self) -> int:
        """Number of devices N."""
        return int(self.broadcast_s.shape[1])

    @property
    def inner_phases(self) -> int:
        """How many inner phases a cluster has: L - 1."""
        return self.local_epochs - 1

    @property
    def mask(self) -> BoolArray:
        """Shape (V, N): the cuts that each device may take."""
        assert self.allowed is not None  # the constructor fills it
        return self.allowed

    @property
    def is_small(self) -> bool:
        """Whether so few clusters differ at every cut that Python tries them all."""
        return all(self.at_cut(cut).is_small for cut in range(len(self.cuts)))

    @cached_property
    def common(self) -> IntArray:
        """The cuts that all devices may take, as indices into ``cuts``."""
        return np.flatnonzero(self.mask.all(axis=1))

    @cached_property
    def _rounds(self) -> dict[int, ClusterAndSpectrum]:
        return {}

    def at_cut(self, cut: int) -> ClusterAndSpectrum:
        """Return the round of all devices at one cut, whether or not it is allowed.

        The server's seconds of a device are their mean over the devices, which leaves a round
        exact.
        """
        if cut not in self._rounds:
            times = {field: getattr(self, field)[cut] for field in (*TIMES, TIED)}
            self._rounds[cut] = self.of_times(times, float(self.server_s[cut].mean()))
        return self._rounds[cut]

    def of_times(self, times: dict[str, FloatArray], server_s: float) -> ClusterAndSpectrum:
        """Return a round with these seconds (N,) of the devices, by the names of their fields."""
        fields: dict[str, Any] = dict(times)
        return ClusterAndSpectrum(
            **fields,
            server_s_per_device=server_s,
            local_epochs=self.local_epochs,
            subcarriers=self.subcarriers,
            cluster_sizes=self.cluster_sizes,
            device_model_over_full_band=self.device_model_over_full_band,
        )
