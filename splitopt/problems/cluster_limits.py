"""The cuts that the limits of `splitopt.problems.limits` leave to clusters and their server.

The server has one copy of its part and works on the mini-batches of one cluster at a time, so that
what its memory must hold depends on who is in the largest cluster.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from splitopt.errors import InfeasibleError, InputError
from splitopt.problems.base import BoolArray, FloatArray
from splitopt.problems.limits import (
    allowed_by_leakage,
    check_common_cut,
    common_cuts,
    not_allowed,
    other_cuts,
    why_no_common_cut,
)
from splitopt.problems.memory import allowed_by_memory, memory_words, server_shared_bytes
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.tied import kept_together
from splitopt.scenario import Scenario
from splitopt.units import readable_bytes


def check_cluster_cut(
    scenario: Scenario,
    profile: ModelProfile,
    cut: int,
    place: str = "clusters.cut",
    *,
    exchanging: bool = False,
) -> None:
    """Raise where a cut of clusters, 1..L, is above a limit of a device or the server.

    The server has one copy of its part and works on the mini-batches of one cluster at a time.
    `place` names what states the cut; with `exchanging` both sides may hold copies of a tied
    weight.

    Raises
    ------
    InfeasibleError
        A limit of leakage or memory does not allow the cut.
    InputError
        Whether the server's memory does depends on who is in which cluster.
    """
    check_common_cut(scenario, profile, cut, place, exchanging=exchanging)
    sizes = _cluster_server_bytes(scenario, profile)
    if sizes is None:
        return
    least, most, memory = sizes[0][cut - 1], sizes[1][cut - 1], sizes[2]
    if most <= memory:
        return
    server = scenario.servers[0].name
    if least <= memory:
        _refuse_unsure(scenario, profile, cut, place, sizes)
    fine = common_cuts(scenario, profile, exchanging=exchanging) & (sizes[1] <= memory)
    raise not_allowed(
        profile,
        (cut, place),
        f"at which {server} needs {memory_words(float(most))} for its largest cluster, and its "
        f"memory is {readable_bytes(memory)}",
        other_cuts(profile, fine, "memory", "give it more"),
    )


def _refuse_unsure(
    scenario: Scenario,
    profile: ModelProfile,
    cut: int,
    place: str,
    sizes: tuple[FloatArray, FloatArray, float],
) -> NoReturn:
    """Raise that who is in which cluster decides whether the server's memory allows a cut."""
    server = scenario.servers[0].name
    raise InputError(
        f"{place} is {cut} ({profile.layers[cut - 1]}): whether a cluster fits into the "
        f"{readable_bytes(sizes[2])} of {server} "
        f"depends on who is in it, which is no constraint here; give {server} "
        f"{memory_words(float(sizes[1][cut - 1]))}, or all devices the same batch_size"
    )


def cluster_cuts(
    scenario: Scenario, profile: ModelProfile, last: bool, *, exchanging: bool = False
) -> list[int]:
    """Return the cuts, 1..L, that all devices and the server can take in clusters.

    Parameters
    ----------
    last
        Whether the last cut, behind which nothing is left for a server, counts too.
    exchanging
        Whether both sides of a cut may hold copies of a tied weight.

    Raises
    ------
    InfeasibleError
        There is none.
    InputError
        Whether the server's memory allows a cut depends on who is in which cluster.
    """
    allowed = common_cuts(scenario, profile, exchanging=exchanging)
    allowed[-1] &= last
    if not allowed.any():
        raise InfeasibleError(why_no_common_cut(scenario, profile, last, exchanging))
    sizes = _cluster_server_bytes(scenario, profile)
    if sizes is None:
        return [int(cut) + 1 for cut in np.flatnonzero(allowed)]
    least, most, memory = sizes
    for cut in np.flatnonzero(allowed & (least <= memory) & (most > memory)):
        check_cluster_cut(scenario, profile, int(cut) + 1, exchanging=exchanging)
    if not (allowed & (most <= memory)).any():
        raise InfeasibleError(
            f"{scenario.servers[0].name} needs {memory_words(float(most[allowed].min()))} for its "
            f"largest cluster at the cut that needs least, and its memory is "
            f"{readable_bytes(memory)}"
        )
    return [int(cut) + 1 for cut in np.flatnonzero(allowed & (most <= memory))]


def cuts_of_devices(scenario: Scenario, profile: ModelProfile) -> BoolArray:
    """Shape (N, L): the cuts that each device and the server can take where clusters' cuts differ.

    The last cut, behind which nothing is left for the server, is none of them.

    Raises
    ------
    InfeasibleError
        A device can take none of those that the server can.
    InputError
        Whether the server's memory allows a cut depends on who is in which cluster.
    """
    within = allowed_by_leakage(scenario, profile)
    fits = allowed_by_memory(scenario.fleet(), profile)
    served = kept_together(profile).copy()
    served[-1] = False
    found = within & fits & served
    sizes = _cluster_server_bytes(scenario, profile)
    if sizes is not None:
        least, most, memory = sizes
        unsure = found.any(axis=0) & (least <= memory) & (most > memory)
        if unsure.any():
            _refuse_unsure(scenario, profile, int(unsure.argmax()) + 1, "clusters.cut", sizes)
        served &= most <= memory
        found &= served
    if not (missing := ~found.any(axis=1)).any():
        return np.asarray(found)
    name = scenario.fleet()[int(missing.argmax())].name
    if not served.any():
        raise InfeasibleError(why_no_common_cut(scenario, profile))
    if not (within & served)[missing][0].any():
        what, mend = "leakage limit", "raise it"
    elif not (fits & served)[missing][0].any():
        what, mend = "memory", "give it more"
    else:
        what, mend = "leakage limit and its memory together", "raise one of them"
    raise InfeasibleError(f"the {what} of {name} leaves it no cut before the last layer: {mend}")


def cuts_by_server(scenario: Scenario, profile: ModelProfile) -> BoolArray:
    """Return the cuts, shape (L,), at which the server's memory is enough for any clusters."""
    sizes = _cluster_server_bytes(scenario, profile)
    if sizes is None:
        return np.ones(profile.layer_count, dtype=np.bool_)
    return np.asarray(sizes[1] <= sizes[2])


def _cluster_server_bytes(
    scenario: Scenario, profile: ModelProfile
) -> tuple[FloatArray, FloatArray, float] | None:
    """Return the least and most bytes, (L,) each, that the largest cluster takes, and the memory.

    Any partition has a cluster with at least the mean of all samples per cluster, and one with at
    least as many as the smallest mini-batches that fill the largest cluster.
    """
    memory = scenario.servers[0].memory if len(scenario.servers) == 1 else None
    batches = [device.batch_size for device in scenario.fleet()]
    if memory is None or scenario.clusters is None or None in batches:
        return None
    sizes = scenario.clusters.all_sizes(len(batches))
    ordered = np.sort(np.array(batches, dtype=np.float64))
    largest = max(sizes)
    few = max(float(ordered[:largest].sum()), float(ordered.sum()) / len(sizes), float(ordered[-1]))
    most = server_shared_bytes(profile, float(ordered[-largest:].sum()), largest)
    least = server_shared_bytes(profile, few, largest)
    return None if least is None or most is None else (least, most, memory)
