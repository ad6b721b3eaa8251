"""Small robust problems, and their scenarios by enumeration."""

from __future__ import annotations

import itertools

import numpy as np

from splitopt.problems.cut_and_resources.problem import RobustCutAndResources

KINDS = ("compute", "links", "both")
"""What is slow of a slow device."""


def robust_problem(seed, devices, cuts, objective, slow, quorum, kind, **given):
    """Draw a problem in which every device is slow by factors of its own."""
    rng = np.random.default_rng(seed)
    tables = [rng.uniform(0.1, 3.0, (devices, cuts)) for _ in range(4)]
    tables[3] *= 2
    factors = {name: rng.uniform(1.5, 4.0, devices) for name in ("compute", "links")}
    kept = {name: value for name, value in factors.items() if kind in (name, "both")}
    return RobustCutAndResources(
        *tables, objective=objective, slow={"devices": slow, **kept}, quorum=quorum, **given
    )


def scenarios(problem):
    """Yield how far each device is slow (N,) in all extreme cases: whole ones and one in part."""
    slow, size = problem.slowness.devices, problem.devices
    whole = int(slow)
    for chosen in itertools.combinations(range(size), min(whole, size)):
        part = np.zeros(size)
        part[list(chosen)] = 1.0
        if slow == whole or whole >= size:
            yield part
            continue
        for extra in set(range(size)) - set(chosen):
            more = part.copy()
            more[extra] = slow - whole
            yield more


def slowed_latencies(problem, decision, part):
    """Return latencies (N,) by the formula of a round, each device slow as far as `part` says."""
    at = np.arange(problem.devices), decision.cut - 1
    link = 1 + (problem.slowness.links - 1) * part
    own = 1 + (problem.slowness.compute - 1) * part
    share = decision.shares if problem.shared_links else decision.shares.copy()
    if not problem.shared_links:
        share[:, :2] = 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        down, up, server = (
            np.where(table[at] > 0, table[at] / share[:, r], 0.0)
            for r, table in enumerate((problem.download_s, problem.upload_s, problem.server_s))
        )
    found = link * (down + up) + server + own * problem.device_s[at]
    return found if problem.priority is None else problem.priority * found
