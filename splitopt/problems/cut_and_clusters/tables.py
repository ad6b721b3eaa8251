"""`CutAndClusters` from a scenario: the cuts that the limits leave, and a round's times at each."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.problems.base import BoolArray, FloatArray
from splitopt.problems.cluster_and_spectrum.data import TIED, TIMES
from splitopt.problems.cluster_limits import check_cluster_cut, cluster_cuts, cuts_of_devices
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by its name
def fields_of_scenario(scenario: Scenario, profile: ModelProfile) -> dict[str, Any]:
    """Return the fields of `CutAndClusters` but for the objective.

    Raises
    ------
    InputError, InfeasibleError
        As `CutAndClusters.from_scenario` says.
    """
    from splitopt.latency.cell import cell_of

    spectrum, clusters = cell_of(scenario)
    devices = sum(device.count for device in scenario.devices)
    cuts, allowed = _cuts(scenario, profile, devices)
    return seconds_at(scenario, profile, cuts) | {
        "cuts": tuple(profile.layers[cut - 1] for cut in cuts),
        "local_epochs": scenario.training.epochs,
        "subcarriers": spectrum.subcarriers,
        "cluster_sizes": np.array(clusters.all_sizes(devices)),
        "allowed": allowed,
        "cut_per_cluster": clusters.cut_per_cluster,
        "device_model_over_full_band": spectrum.device_model_over_full_band,
    }


def seconds_at(scenario: Scenario, profile: ModelProfile, cuts: list[int]) -> dict[str, Any]:
    """Return the times of `CutAndClusters` at cuts 1..L by their fields, shape (V, N) each, in s.

    Errors are those of `splitopt.latency.cell.cell_seconds`.
    """
    from splitopt.latency.cell import cell_seconds

    rows = [cell_seconds(scenario, profile, cut) for cut in cuts]
    batch = np.array([device.batch_size for device in scenario.fleet()], dtype=np.float64)
    devices = len(batch)
    found = {"server_s": _per_device([row.server * batch / batch.mean() for row in rows], devices)}
    found[TIED] = _per_device([row.upload_tied for row in rows], devices)
    for place, field in enumerate(TIMES):
        found[field] = _per_device([row[place] for row in rows], devices)
    return found


def _per_device(rows: list[Any], devices: int) -> FloatArray:
    """Shape (V, N): times of every cut."""
    return np.array([np.broadcast_to(row, devices) for row in rows], dtype=np.float64)


def _cuts(
    scenario: Scenario, profile: ModelProfile, devices: int
) -> tuple[list[int], BoolArray | None]:
    """Return the cuts, 1..L, and which devices may take them; None for all."""
    from splitopt.latency.cell import cell_of, cut_index

    clusters = cell_of(scenario)[1]
    if clusters.cut != "auto":
        cut = cut_index(profile, clusters.cut)
        check_cluster_cut(scenario, profile, cut, exchanging=True)
        return [cut], None
    if not clusters.cut_per_cluster:
        return cluster_cuts(scenario, profile, last=False, exchanging=True), None
    clusters.all_sizes(devices)
    table = cuts_of_devices(scenario, profile)
    kept = np.flatnonzero(table.any(axis=0))
    return [int(cut) + 1 for cut in kept], np.ascontiguousarray(table[:, kept].T)
