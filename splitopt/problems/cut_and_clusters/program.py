"""Cut, clusters and subcarriers as a mixed-integer linear program.

``use[k, m, v, c]`` is 1 where device k is in cluster m, at cut v, with c subcarriers, for the cuts
that the device may take. A phase of the device takes the sum of (a_vk + b_vk / c) use[k, m, v, c],
which is 0 in every other cluster and at every other cut, so that no large constants are needed.
``cut[m, v]`` is 1 where cluster m is at cut v; a common cut is ``cut[v]``.

    minimise    sum_m starting[m] + (L - 1) inner[m] + ending[m]
                + L sum_kmvc tau_vk use[k, m, v, c]
    subject to  sum_mvc use[k, m, v, c] = 1                              one_place[k]
                sum_v cut[m, v] = 1                                      one_cut[m]
                sum_kc use[k, m, v, c] = size_m cut[m, v]                at_cut[m, v]
                sum_c use[k, m, v, c] <= cut[m, v]                       of_cut[k, m, v]
                sum_kvc c use[k, m, v, c] <= C                           budget[m]
                sum_vc (a_vk + b_vk / c) use[k, m, v, c] <= starting[m]  starting_time[k, m]
                and the same for inner and ending
                in_order[k, m], which numbers clusters of the same size by their first device

Where the cut is common, ``one_cut`` is one row, and the rows ``of_cut[k, v]`` say that
sum_mc use[k, m, v, c] = cut[v]: a device that may not take a cut rules it out. Otherwise ``at_cut``
does, as a cluster at a cut has size_m devices of it. ``of_cut`` follows from the others in whole
numbers and makes the relaxation stronger.
"""

from __future__ import annotations

import numpy as np

from splitopt.errors import InfeasibleError, InputError
from splitopt.problems.cluster_and_spectrum.formulation import PHASE_NAMES, add_order, check_unit
from splitopt.problems.cut_and_clusters.data import CutAndClustersData
from splitopt.problems.linear_program import LinearProgram, Values, Variable
from splitopt.problems.size import Size

Uses = dict[tuple[int, int], dict[tuple[int, int], Variable]]
"""Device and cluster -> cut and subcarriers -> variable."""


def joint_program(problem: CutAndClustersData, unit_s: float) -> LinearProgram:
    """State the program in a unit of time of so many seconds.

    Raises
    ------
    InputError
        The unit of time is not above 0.
    InfeasibleError
        Subcarriers are too few, or a device may take no cut that counts.
    """
    check_unit(unit_s)
    if (reason := problem.infeasibility()) is not None:
        raise InfeasibleError(reason)
    program = LinearProgram("cut_and_clusters")
    sizes = problem.cluster_sizes.tolist()
    use = _uses(problem)
    program.binary.extend(v for levels in use.values() for v in levels.values())
    for k in range(problem.devices):
        placed = {v: 1.0 for m in range(len(sizes)) for v in use[k, m].values()}
        program.equal("one_place", (k,), placed, 1.0)
    cut = _cuts(program, problem)
    for m, size in enumerate(sizes):
        for v in range(len(problem.cuts)):
            inside = [_at(use[k, m], v) for k in range(problem.devices)]
            held = {variable: 1.0 for variables in inside for variable in variables}
            program.equal("at_cut", (m, v), {**held, cut[m, v]: -float(size)}, 0.0)
    _link(program, problem, use, cut)
    for m in range(len(sizes)):
        spent = {
            variable: float(c)
            for k in range(problem.devices)
            for (_, c), variable in use[k, m].items()
        }
        program.at_most("budget", (m,), spent, float(problem.subcarriers))
        _phases(program, problem, unit_s, m, use)
    served = problem.local_epochs * problem.server_s / unit_s
    for (k, _), levels in use.items():
        for (v, _), variable in levels.items():
            program.objective[variable] = float(served[v, k])
    add_order(program, sizes, (), use)
    return program


def _uses(problem: CutAndClustersData) -> Uses:
    """Name the binaries: allowed cuts, and as many subcarriers as the others of a cluster leave."""
    most = (problem.subcarriers - problem.cluster_sizes + 1).tolist()
    allowed = problem.mask if problem.cut_per_cluster else problem.mask & _common(problem)
    return {
        (k, m): {
            (v, c): ("use", k, m, v, c)
            for v in np.flatnonzero(allowed[:, k]).tolist()
            for c in range(1, levels + 1)
        }
        for k in range(problem.devices)
        for m, levels in enumerate(most)
    }


def _common(problem: CutAndClustersData) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Shape (V, 1): the cuts that all devices may take."""
    return np.asarray(problem.mask.all(axis=1, keepdims=True))


def _at(levels: dict[tuple[int, int], Variable], cut: int) -> list[Variable]:
    """Return the variables of one cut."""
    return [variable for (v, _), variable in levels.items() if v == cut]


def _cuts(program: LinearProgram, problem: CutAndClustersData) -> dict[tuple[int, int], Variable]:
    """Add the choice of cuts, and give the variable of every cluster and cut."""
    clusters, cuts = range(len(problem.cluster_sizes)), range(len(problem.cuts))
    if problem.cut_per_cluster:
        found: dict[tuple[int, int], Variable] = {
            (m, v): ("cut", m, v) for m in clusters for v in cuts
        }
        for m in clusters:
            program.equal("one_cut", (m,), {found[m, v]: 1.0 for v in cuts}, 1.0)
        program.binary.extend(found.values())
        return found
    common: list[Variable] = [("cut", v) for v in cuts]
    program.equal("one_cut", (), dict.fromkeys(common, 1.0), 1.0)
    program.binary.extend(common)
    return {(m, v): common[v] for m in clusters for v in cuts}


def _link(
    program: LinearProgram,
    problem: CutAndClustersData,
    use: Uses,
    cut: dict[tuple[int, int], Variable],
) -> None:
    """Tie what every device does to the cuts."""
    clusters = range(len(problem.cluster_sizes))
    for k in range(problem.devices):
        for v in range(len(problem.cuts)):
            each = {m: dict.fromkeys(_at(use[k, m], v), 1.0) for m in clusters}
            if not problem.cut_per_cluster:
                every = {variable: 1.0 for terms in each.values() for variable in terms}
                program.equal("of_cut", (k, v), {**every, cut[0, v]: -1.0}, 0.0)
                continue
            for m, terms in each.items():
                if terms:
                    program.at_most("of_cut", (k, m, v), {**terms, cut[m, v]: -1.0}, 0.0)


def _phases(
    program: LinearProgram, problem: CutAndClustersData, unit_s: float, cluster: int, use: Uses
) -> None:
    """Add the seconds of a cluster's phases to the rows and to the objective."""
    weights = (1.0, float(problem.inner_phases), 1.0)
    terms = [problem.at_cut(v).terms / unit_s for v in range(len(problem.cuts))]
    for p, (phase, weight) in enumerate(zip(PHASE_NAMES, weights, strict=True)):
        if weight == 0:
            continue
        longest = program.add_real((phase, cluster))
        program.objective[longest] = weight
        for k in range(problem.devices):
            taken = {
                variable: float(terms[v][k, 2 * p] + terms[v][k, 2 * p + 1] / c)
                for (v, c), variable in use[k, cluster].items()
            }
            program.at_most(f"{phase}_time", (k, cluster), {**taken, longest: -1.0}, 0.0)


def program_size(problem: CutAndClustersData) -> Size:
    """Count variables and rows (at most), without building the program."""
    devices, cuts = problem.devices, len(problem.cuts)
    clusters, phases = len(problem.cluster_sizes), 3 if problem.inner_phases else 2
    levels = int(np.maximum(problem.subcarriers - problem.cluster_sizes + 1, 0).sum())
    allowed = problem.mask if problem.cut_per_cluster else problem.mask & _common(problem)
    chosen = clusters if problem.cut_per_cluster else 1
    variables = int(allowed.sum()) * levels + cuts * chosen + phases * clusters
    rows = devices * (1 + cuts * chosen + (phases + 1) * clusters) + clusters * (cuts + 1) + chosen
    return Size(variables, rows)


def read_joint(problem: CutAndClustersData, values: Values) -> tuple[list[list[int]], list[int]]:
    """Read the members and the cut of every cluster from values that are nearly 0 or 1.

    Raises
    ------
    InputError
        They do not put every device into one cluster.
    """
    clusters: list[list[int]] = [[] for _ in problem.cluster_sizes]
    cuts = [0] * len(clusters)
    for variable, value in values.items():
        if variable[0] == "use" and value > 0.5:
            k, m, v, _ = variable[1:]
            clusters[m].append(k)
            cuts[m] = v
    if sorted(k for cluster in clusters for k in cluster) != list(range(problem.devices)):
        raise InputError("the model's solution does not put every device into one cluster")
    return clusters, cuts
