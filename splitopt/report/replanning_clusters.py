"""What the page of a plan in clusters needs to plan it anew while its sliders move.

The page's scripts (``assets/cluster_cost.js`` and ``assets/clusters.js``) scale these numbers as
the sliders say; see the page about plans of the documentation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.plans import Plan
from splitopt.problems.base import BoolArray, IntArray
from splitopt.problems.cluster_and_spectrum.data import TIED, TIMES
from splitopt.problems.cluster_limits import cuts_by_server
from splitopt.problems.cut_and_clusters.tables import seconds_at
from splitopt.problems.limits import allowed_by_leakage, allowed_by_tied
from splitopt.problems.memory import allowed_by_memory
from splitopt.profiles import ModelProfile
from splitopt.scenario import Scenario

MOST_DEVICES = 300
MOST_IN_A_CLUSTER = 128
MOST_CELLS = 6_000
"""Entries of the fleet times cuts of which a page carries the numbers."""


def cluster_data(plan: Plan) -> dict[str, Any] | str | None:
    """Return the data of a page that plans clusters anew, or why it does not in one sentence.

    None says nothing: there is no decision.
    """
    if plan.decision is None:
        return None
    scenario = Scenario.from_dict(plan.scenario, "plan: scenario")
    profile = ModelProfile.from_dict(plan.profile, "plan: profile")
    assert scenario.spectrum is not None  # the plan has clusters
    assert scenario.clusters is not None
    devices = scenario.device_count()
    sizes = scenario.clusters.all_sizes(devices)
    entry = np.repeat(np.arange(len(scenario.devices)), [own.count for own in scenario.devices])
    first = np.unique(entry, return_index=True)[1]
    cuts, allowed, can_lose = _cuts(scenario, profile, first)
    if devices > MOST_DEVICES or max(sizes) > MOST_IN_A_CLUSTER or allowed.size > MOST_CELLS:
        return f"It is for fleets of up to {MOST_DEVICES} devices in clusters."
    tables = seconds_at(scenario, profile, cuts)
    names = {**{field: field.removesuffix("_s") for field in (*TIMES, TIED)}, "server_s": "server"}
    return {
        "kind": "clusters",
        "value": plan.result["objective"],
        "cuts": [f"{cut} {profile.layers[cut - 1]}" for cut in cuts],
        "groups": [
            {
                "name": own.name,
                "count": own.count,
                "compute": own.compute if isinstance(own.compute, int | float) else None,
            }
            for own in scenario.devices
        ],
        **{name: tables[field][:, first].tolist() for field, name in names.items()},
        "allowed": allowed.astype(int).tolist(),
        "sizes": list(sizes),
        "subcarriers": scenario.spectrum.subcarriers,
        "local_epochs": scenario.training.epochs,
        "full_band": scenario.spectrum.device_model_over_full_band,
        "cut_per_cluster": scenario.clusters.cut_per_cluster,
        "can_lose": can_lose,
        "bandwidth": scenario.spectrum.bandwidth if _steady(scenario) else None,
        "server_speed": scenario.servers[0].compute,
        "clusters": [entry[list(members)].tolist() for members in plan.decision["clusters"]],
        "cut": _cut_of(plan, cuts, profile),
    }


def _cuts(
    scenario: Scenario, profile: ModelProfile, first: IntArray
) -> tuple[list[int], BoolArray, bool]:
    """Return the cuts that some entry may take, 1..L, who may (V, G), and if devices may be lost.

    Where the server's memory rules cuts out, fewer devices could bring them back: a floor for the
    cuts that are left would be none for the fleet that is left.
    """
    from splitopt.latency.cell import cut_index

    assert scenario.clusters is not None
    if scenario.clusters.cut != "auto":
        return (
            [cut_index(profile, scenario.clusters.cut)],
            np.ones((1, len(first)), dtype=np.bool_),
            True,
        )
    fine = allowed_by_leakage(scenario, profile) & allowed_by_memory(scenario.fleet(), profile)
    fine &= allowed_by_tied(profile, exchanging=not scenario.clusters.cut_per_cluster)
    fine[:, -1] = False  # nothing is left for the server
    served = cuts_by_server(scenario, profile)
    kept = np.flatnonzero((fine & served).any(axis=0))
    lost = bool((fine.any(axis=0) & ~served).any())
    allowed = np.ascontiguousarray((fine & served)[first][:, kept].T)
    return [int(cut) + 1 for cut in kept], allowed, not lost


def _steady(scenario: Scenario) -> bool:
    """Report whether rates are in proportion to the bandwidth: no signal depends on it."""
    return all(
        scenario.link(device, direction).snr is not None
        for device in scenario.devices
        for direction in ("downlink", "uplink")
    )


def _cut_of(plan: Plan, cuts: list[int], profile: ModelProfile) -> list[int]:
    """Return the cut of each cluster of the plan, as indices of `cuts`."""
    assert plan.prediction is not None  # there is a decision
    named = plan.prediction.get("cuts")
    if named is None:
        return [0] * len(plan.prediction["clusters"])
    return [cuts.index(profile.layers.index(name) + 1) for name in named]
