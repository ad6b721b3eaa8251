"""CPSL's problem P_S as a mixed-integer linear program.

A number x of subcarriers enters as 1/x. As x is one of a few whole numbers, that is linear exactly:
``use[k, m, c]`` is 1 where device k is in cluster m with c subcarriers, and a phase of the device
takes the sum of (a_k + b_k / c) use[k, m, c], which is 0 in every other cluster, so that no large
constants are needed. Thresholds (use of at least c) would state the same with the same relaxation.

    minimise    sum_m starting[m] + (L - 1) inner[m] + ending[m]  + the server's seconds
    subject to  sum_mc use[k, m, c] = 1                                  one_place[k]
                sum_kc use[k, m, c] = size_m                             size[m]
                sum_kc c use[k, m, c] <= C                               budget[m]
                sum_c (a_k + b_k / c) use[k, m, c] <= starting[m]        starting_time[k, m]
                and the same for inner and ending
                sum_c use[k, m, c] <= sum_{j < k, c} use[j, m', c]       in_order[k, m]

The last rows break a symmetry: clusters of the same size can be exchanged, so they are numbered by
their first device (m' is the cluster of that size before m). With the clusters fixed, devices have
one m only, and what is left is the subcarrier problem of each cluster.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from splitopt.errors import InfeasibleError, InputError
from splitopt.problems.cluster_and_spectrum.data import ClusterAndSpectrumData
from splitopt.problems.cluster_and_spectrum.decision import ClusterAndSpectrumDecision
from splitopt.problems.cluster_and_spectrum.subcarriers import complete_clusters
from splitopt.problems.linear_program import LinearProgram, Values, Variable

PHASE_NAMES = ("starting", "inner", "ending")


def round_program(
    problem: ClusterAndSpectrumData,
    clusters: Iterable[npt.ArrayLike] | None,
    unit_s: float,
) -> LinearProgram:
    """State the joint problem, or that of subcarriers where the clusters are given.

    Raises
    ------
    InputError
        The unit of time is not above 0, or the clusters do not hold every device once.
    InfeasibleError
        A cluster has more devices than there are subcarriers.
    """
    check_unit(unit_s)
    if (reason := problem.infeasibility()) is not None:
        raise InfeasibleError(reason)
    program = LinearProgram("cluster_and_spectrum")
    terms, constant = add_round(program, problem, unit_s, fixed=_fixed(problem, clusters))
    program.objective, program.constant = terms, constant
    return program


def check_unit(unit_s: float) -> None:
    """Raise `InputError` unless a unit of time is a finite number above 0."""
    if not 0 < unit_s < math.inf:
        raise InputError.at("unit_s", f"is {unit_s!r}, it must be a number of seconds above 0")


def add_round(
    program: LinearProgram,
    problem: ClusterAndSpectrumData,
    unit_s: float,
    tag: Variable = (),
    on: Variable | None = None,
    fixed: Sequence[int] | None = None,
) -> tuple[dict[Variable, float], float]:
    """Add a round to a program, and give its seconds: factors of variables, and a constant.

    Parameters
    ----------
    tag
        Stands before the index of each variable and row, to tell rounds apart.
    on
        A binary variable; where it is 0 the round is empty and takes no time.
    fixed
        The cluster of each device; None to choose it.
    """
    sizes = problem.cluster_sizes.tolist()
    most = [problem.subcarriers - size + 1 for size in sizes]
    devices = range(problem.devices)
    hosts = [range(len(sizes)) if fixed is None else [fixed[k]] for k in devices]
    use = {
        (k, m): {c: ("use", *tag, k, m, c) for c in range(1, most[m] + 1)}
        for k in devices
        for m in hosts[k]
    }
    program.binary.extend(v for levels in use.values() for v in levels.values())
    for k in devices:
        placed = {v: 1.0 for m in hosts[k] for v in use[k, m].values()}
        _switched(program, "one_place", (*tag, k), placed, 1.0, on)
    seconds: dict[Variable, float] = {}
    for m, size in enumerate(sizes):
        inside = [k for k in devices if (k, m) in use]
        if fixed is None:
            chosen = {v: 1.0 for k in inside for v in use[k, m].values()}
            _switched(program, "size", (*tag, m), chosen, float(size), on)
        spent = {v: float(c) for k in inside for c, v in use[k, m].items()}
        program.at_most("budget", (*tag, m), spent, float(problem.subcarriers))
        seconds |= _phases(program, problem, unit_s, tag, m, {k: use[k, m] for k in inside})
    if fixed is None:
        add_order(program, sizes, tag, use)
    server = problem.local_epochs * problem.server_s_per_device * problem.devices / unit_s
    if on is None:
        return seconds, server
    return {**seconds, on: server}, 0.0


def _phases(
    program: LinearProgram,
    problem: ClusterAndSpectrumData,
    unit_s: float,
    tag: Variable,
    cluster: int,
    use: dict[int, dict[int, Variable]],
) -> dict[Variable, float]:
    """Add the seconds of a cluster's phases, and give them with their weights."""
    weights = (1.0, float(problem.inner_phases), 1.0)
    found = {}
    for p, (phase, weight) in enumerate(zip(PHASE_NAMES, weights, strict=True)):
        if weight == 0:
            continue
        longest = program.add_real((phase, *tag, cluster))
        found[longest] = weight
        fixed_s, spectral_s = problem.terms[:, 2 * p] / unit_s, problem.terms[:, 2 * p + 1] / unit_s
        for k, levels in use.items():
            taken = {v: float(fixed_s[k] + spectral_s[k] / c) for c, v in levels.items()}
            program.at_most(f"{phase}_time", (*tag, k, cluster), {**taken, longest: -1.0}, 0.0)
    return found


def _switched(
    program: LinearProgram,
    name: str,
    index: Variable,
    terms: dict[Variable, float],
    value: float,
    on: Variable | None,
) -> None:
    """Add ``terms == value``, or ``terms == value * on``."""
    if on is None:
        program.equal(name, index, terms, value)
    else:
        program.equal(name, index, {**terms, on: -value}, 0.0)


def add_order(
    program: LinearProgram,
    sizes: Sequence[int],
    tag: Variable,
    use: Mapping[tuple[int, int], Mapping[Any, Variable]],
) -> None:
    """Order clusters of the same size by their first device.

    Parameters
    ----------
    use
        Device and cluster -> the variables of which one is 1 where the device is in the cluster.
    """
    devices = 1 + max(k for k, _ in use)
    for m, size in enumerate(sizes):
        before = [other for other in range(m) if sizes[other] == size]
        if not before:
            continue
        for k in range(devices):
            terms = dict.fromkeys(use[k, m].values(), 1.0)
            for j in range(k):
                terms |= dict.fromkeys(use[j, before[-1]].values(), -1.0)
            program.at_most("in_order", (*tag, k, m), terms, 0.0)


def _fixed(
    problem: ClusterAndSpectrumData, clusters: Iterable[npt.ArrayLike] | None
) -> list[int] | None:
    """Return the cluster of each device, in the order of sizes of the problem."""
    if clusters is None:
        return None
    taken = [np.asarray(cluster, dtype=np.int64).tolist() for cluster in clusters]
    members = sorted(k for cluster in taken for k in cluster)
    if members != list(range(problem.devices)):
        raise InputError.at("clusters", f"must hold each of 0..{problem.devices - 1} once")
    free = dict(enumerate(problem.cluster_sizes.tolist()))
    found = [0] * problem.devices
    for cluster in taken:
        place = next((m for m, size in free.items() if size == len(cluster)), None)
        if place is None:
            raise InputError.at(
                "clusters",
                f"have a cluster of {len(cluster)} devices; the sizes are "
                f"{problem.cluster_sizes.tolist()}",
            )
        del free[place]
        for k in cluster:
            found[k] = place
    return found


def read_round(
    problem: ClusterAndSpectrumData, values: Values, tag: Variable = (), keep: bool = False
) -> ClusterAndSpectrumDecision:
    """Read the decision of a round from values that are binary within a tolerance.

    Parameters
    ----------
    keep
        Keep the program's subcarriers, for own constraints on them; else they are the best ones
        for its clusters.
    """
    width = 1 + len(tag)
    clusters: list[list[int]] = [[] for _ in problem.cluster_sizes]
    x = np.zeros(problem.devices, dtype=np.int64)
    for variable, value in values.items():
        if variable[:width] == ("use", *tag) and value > 0.5:
            k, m, c = variable[width:]
            clusters[m].append(k)
            x[k] = c
    if sorted(k for cluster in clusters for k in cluster) != list(range(problem.devices)):
        raise InputError("the model's solution does not put every device into one cluster")
    if keep:
        return ClusterAndSpectrumDecision(tuple(np.array(c) for c in clusters), x)
    return complete_clusters(problem, clusters)
