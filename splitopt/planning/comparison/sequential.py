"""DP-MORA's sequential baselines SF1 and SF2 (section 7.1): split devices one after the other.

SF1 cuts every device at the shallowest layer that all may cut at, SF2 as DP-MORA's plan for the sum
does. In ``_af`` and ``_pf`` devices keep their shares of the resources while others run, as in the
paper's numbers: equal ones, or by batch size. In ``sf2`` each has everything while it runs; SF1 in
that reading is vanilla SL, which is compared at its best cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from splitopt.latency.sequential import sequential_round
from splitopt.planning.comparison.loads import (
    batch_sizes,
    cut_words,
    device_loads,
    server_rent,
    shared_memory,
)
from splitopt.planning.comparison.rows import SchemeRow, none, unsolved
from splitopt.planning.comparison.server_schemes import help_fields, possible_cuts
from splitopt.planning.comparison.star_rounds import ServerContext, longest_phase
from splitopt.plans import Plan
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources.decision import decision_from_shares

SEQUENTIAL = ("sf1_af", "sf1_pf", "sf2", "sf2_af", "sf2_pf")


def sequential(scheme: str, context: ServerContext, dp_mora: Callable[[], Plan]) -> SchemeRow:
    """Return the row of a sequential baseline.

    Parameters
    ----------
    scheme
        One of `SEQUENTIAL`.
    dp_mora
        Returns DP-MORA's plan for the sum; SF2 alone calls it.
    """
    shares = _shares(scheme, context)
    if isinstance(shares, str):
        return none(scheme, "not_comparable", shares)
    proved, gap = True, 0.0
    if scheme.startswith("sf1"):
        possible = possible_cuts("sl", context)
        if isinstance(possible, str):
            return none(scheme, "infeasible", possible)
        cuts = context.everyone(int(possible.argmax()) + 1)
    else:
        planned = dp_mora()
        if planned.decision is None:
            row = unsolved(scheme, planned.result)
            return replace(
                row, reason=f"DP-MORA (sum), whose cuts it takes, has none: {row.reason}"
            )
        cuts = np.array(planned.decision["cut"], dtype=np.int64)
        proved, gap = planned.result["outcome"] == "optimal", planned.result["gap"]
    seconds = float(sequential_round(context.seconds, cuts, shares).round_s)
    phases = context.problem.phases(decision_from_shares(cuts, shares)).sum(axis=0)
    return SchemeRow(
        scheme=scheme,
        status="feasible",
        cut=cut_words(context.profile, cuts),
        proved=proved,
        gap=gap,
        round_s=seconds,
        server_memory_bytes=_server_memory(context, cuts),
        energy_j=context.energy(cuts),
        round_cost=server_rent(context.scenario, seconds),
        **help_fields(*longest_phase(phases)),
        **device_loads(context.scenario, context.profile, cuts),
    )


def _shares(scheme: str, context: ServerContext) -> FloatArray | str:
    """Shape (N, 3): shares of downlink, uplink and server, or why there are none."""
    devices = context.problem.devices
    kept = np.ones(devices)
    if scheme.endswith("_af"):
        kept = np.full(devices, 1 / devices)
    elif scheme.endswith("_pf"):
        sizes = batch_sizes(context.scenario)
        if sizes is None:
            return "needs a batch_size of every device, by which the shares are divided"
        if np.ptp(sizes) == 0:
            other = scheme.replace("_pf", "_af").replace("_", "").upper()
            return f"all devices have the same batch_size, so that it is {other}"
        kept = sizes / sizes.sum()
    # Links of their own are not divided: only the server is shared then.
    links = kept if context.problem.shared_links else np.ones(devices)
    return np.stack((links, links, kept), axis=1)


def _server_memory(context: ServerContext, cuts: IntArray) -> float | None:
    """Bytes of a server with one copy at a time, for the device that needs most; cuts (N,)."""
    if (sizes := batch_sizes(context.scenario)) is None:
        return None
    found = []
    for cut, size in set(zip(cuts.tolist(), sizes.tolist(), strict=True)):
        if (need := shared_memory(context.profile, cut, size)) is None:
            return None
        found.append(need)
    return max(found)
