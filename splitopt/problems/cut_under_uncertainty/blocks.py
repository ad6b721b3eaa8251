"""`cluster_and_spectrum` data of many cuts and samples, stacked into arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.latency import clustered
from splitopt.problems.arrays import number_table
from splitopt.problems.base import FloatArray, IntArray, check_keys
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum, ClusterAndSpectrumDecision
from splitopt.problems.cluster_and_spectrum.bounds import phase_bound
from splitopt.problems.cluster_and_spectrum.data import SCALARS, TIMES
from splitopt.problems.cluster_and_spectrum.terms import phase_terms

BAND = "device_model_over_full_band"
SHARED = ("local_epochs", "subcarriers", "cluster_sizes", BAND)
"""What all cuts and samples of a problem have in common."""

FIELDS = (*TIMES, *SCALARS, "cluster_sizes")


@dataclass(frozen=True, eq=False)
class FixedPlan:
    """Clusters and subcarriers for many rounds, see `fixed_plan`.

    ``subcarriers`` has shape (..., N), ``clusters`` (..., M, K) as of
    `splitopt.latency.clustered.padded_clusters`, ``sizes`` (M,).
    """

    subcarriers: IntArray
    clusters: IntArray
    sizes: IntArray


def fixed_plan(decisions: Sequence[ClusterAndSpectrumDecision]) -> FixedPlan:
    """Stack one decision per cut."""
    ordered = [sorted(decision.clusters, key=len, reverse=True) for decision in decisions]
    return FixedPlan(
        np.stack([decision.subcarriers for decision in decisions]),
        np.stack([clustered.padded_clusters(clusters) for clusters in ordered]),
        np.array([len(cluster) for cluster in ordered[0]]),
    )


@dataclass(frozen=True, eq=False)
class Blocks:
    """The data of `ClusterAndSpectrum` with leading axes, such as samples and cuts.

    Parameters
    ----------
    times
        Field of `ClusterAndSpectrum` -> shape (..., N), in s.
    server_s_per_device
        Shape (...), in s.
    local_epochs, subcarriers, cluster_sizes, device_model_over_full_band
        As there, the same for all.
    """

    times: Mapping[str, FloatArray]
    server_s_per_device: FloatArray
    local_epochs: int
    subcarriers: int
    cluster_sizes: IntArray
    device_model_over_full_band: bool = False

    @property
    def devices(self) -> int:
        """Number of devices N."""
        return int(self.times["forward_s"].shape[-1])

    def __getitem__(self, index: Any) -> Blocks:
        """Return a part of the leading axes."""
        times = {field: table[index] for field, table in self.times.items()}
        return replace(self, times=times, server_s_per_device=self.server_s_per_device[index])

    @classmethod
    def stack(cls, rows: Sequence[Blocks]) -> Blocks:
        """Put blocks that share everything else along a new first axis."""
        first = rows[0]
        return replace(
            first,
            times={field: np.stack([row.times[field] for row in rows]) for field in first.times},
            server_s_per_device=np.stack([row.server_s_per_device for row in rows]),
        )

    def single(self) -> ClusterAndSpectrum:
        """Return the problem, where no leading axis is left."""
        return ClusterAndSpectrum(
            **dict(self.times),  # type: ignore[arg-type]
            server_s_per_device=float(self.server_s_per_device),
            local_epochs=self.local_epochs,
            subcarriers=self.subcarriers,
            cluster_sizes=self.cluster_sizes,
            device_model_over_full_band=self.device_model_over_full_band,
        )

    def data(self) -> dict[str, Any]:
        """Return all fields by name."""
        shared = {field: getattr(self, field) for field in SHARED}
        if not shared[BAND]:
            del shared[BAND]
        return {**self.times, "server_s_per_device": self.server_s_per_device, **shared}

    @property
    def terms(self) -> FloatArray:
        """Shape (..., N, 6), see `phase_terms`."""
        return phase_terms(self.times, self.subcarriers, self.device_model_over_full_band)

    def bounds(self) -> FloatArray:
        """Return a cheap lower bound on every round, shape (...), see `bounds.phase_bound`.

        Infinite where a cluster has more devices than there are subcarriers.
        """
        if self.cluster_sizes.max() > self.subcarriers:
            return np.full(self.server_s_per_device.shape, np.inf)
        terms, total = self.terms, self.local_epochs * self.devices * self.server_s_per_device
        for phase, times in enumerate((1, self.local_epochs - 1, 1)):
            if times:
                fixed, spectral = terms[..., 2 * phase], terms[..., 2 * phase + 1]
                total = total + times * phase_bound(
                    fixed, spectral, self.cluster_sizes, self.subcarriers
                )
        return np.asarray(total)

    def scaled(self, factors: Mapping[str, FloatArray]) -> Blocks:
        """Multiply some fields by factors per device, shape (N,).

        Factors of shape (R, N) put an axis of rounds before all axes that there are.
        """
        rounds = max((factor.shape[:-1] for factor in factors.values()), default=(), key=len)
        shape = (*rounds, *self.server_s_per_device.shape, self.devices)

        def spread(factor: FloatArray) -> FloatArray:
            return factor.reshape(*rounds, *(1,) * self.server_s_per_device.ndim, self.devices)

        times = {
            field: np.broadcast_to(
                table * spread(factors[field]) if field in factors else table, shape
            )
            for field, table in self.times.items()
        }
        server = np.broadcast_to(self.server_s_per_device, shape[:-1])
        return replace(self, times=times, server_s_per_device=server)

    def seconds(self, plan: FixedPlan) -> FloatArray:
        """Return what rounds take under a fixed plan, shape (...): an upper bound on the best.

        Parameters
        ----------
        plan
            Its arrays have the last of the leading axes, such as the cuts, or none.
        """
        return np.asarray(
            clustered.round_seconds(
                self.terms,
                np.broadcast_to(plan.subcarriers, self.times["forward_s"].shape),
                plan.clusters,
                plan.sizes,
                self.server_s_per_device,
                self.local_epochs,
            )
        )

    def mean(self) -> Blocks:
        """Average over the first axis."""
        return replace(
            self,
            times={field: table.mean(axis=0) for field, table in self.times.items()},
            server_s_per_device=self.server_s_per_device.mean(axis=0),
        )


def read_stacked(
    data: Mapping[str, Any], leading: tuple[int, ...], names: tuple[str, ...], source: str
) -> Blocks:
    """Read stacked arrays whose leading axes have these lengths (-1: any) and names.

    Raises
    ------
    InputError
        A field is missing, or a shape, sign or value does not fit; the message names the entry.
    """
    checked = check_keys(data, FIELDS, (BAND,), source)
    times: dict[str, FloatArray] = {}
    shape: tuple[int, ...] = (*leading, -1)
    for field in TIMES:
        what = f"times in s, {' x '.join((*names, 'device'))}"
        times[field] = number_table(checked[field], f"{source}.{field}", what, shape)
        shape = times[field].shape
    server = number_table(
        checked["server_s_per_device"],
        f"{source}.server_s_per_device",
        f"times in s, {' x '.join(names)}",
        shape[:-1],
    )
    first = (0,) * len(leading)
    try:  # the problem's own check of what all have in common
        example = ClusterAndSpectrum(
            **{field: table[first] for field, table in times.items()},
            server_s_per_device=0.0,
            **{field: checked[field] for field in SHARED if field in checked},
        )
    except InputError as error:
        raise InputError(f"{source}.{error}") from None
    return Blocks(times, server, example.local_epochs, example.subcarriers, example.cluster_sizes)


def read_listed(value: Sequence[Any], cuts: int, source: str) -> Blocks:
    """Read ``value[sample][cut]``, each a `cluster_and_spectrum` data block.

    Raises
    ------
    InputError
        A block cannot be read, a sample lacks a cut, or blocks differ in what they must share.
    """
    if not value:
        raise InputError.at(source, "is empty; it needs at least one sample")
    rows = []
    for j, row in enumerate(value):
        if not isinstance(row, list | tuple) or len(row) != cuts:
            found = f"{len(row)} entries" if isinstance(row, list | tuple) else "no list"
            raise InputError.at(
                f"{source}[{j}]", f"has {found}, it needs one for each of {cuts} cuts"
            )
        rows.append(
            [
                ClusterAndSpectrum.from_data(block, "round", f"{source}[{j}][{v}]")
                for v, block in enumerate(row)
            ]
        )
    first = rows[0][0]
    for j, row in enumerate(rows):
        for v, block in enumerate(row):
            _check_alike(first, block, f"{source}[{j}][{v}]")
    times = {f: np.array([[getattr(b, f) for b in row] for row in rows]) for f in TIMES}
    server = np.array([[block.server_s_per_device for block in row] for row in rows])
    for array in (*times.values(), server):
        array.setflags(write=False)
    return Blocks(times, server, **_shared(first))


def _shared(example: ClusterAndSpectrum) -> dict[str, Any]:
    return {field: getattr(example, field) for field in SHARED}


def _check_alike(first: ClusterAndSpectrum, other: ClusterAndSpectrum, source: str) -> None:
    if other.devices != first.devices:
        raise InputError.at(
            source, f"has {other.devices} devices, the first sample has {first.devices}"
        )
    for field in SHARED:
        mine, theirs = getattr(first, field), getattr(other, field)
        if not np.array_equal(np.sort(np.atleast_1d(mine)), np.sort(np.atleast_1d(theirs))):
            raise InputError.at(
                f"{source}.{field}",
                f"is {_shown(theirs)}, it must be {_shown(mine)} as in the first sample",
            )


def _shown(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
