"""The solver `dp_mora`: its options, and one run from the relaxed problem to rounded cuts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from splitopt.documents.checks import check_choice, check_positive, check_whole
from splitopt.errors import InputError
from splitopt.problems.base import FEASIBILITY_TOLERANCE, FloatArray
from splitopt.problems.cut_and_resources import CutAndResources, CutAndResourcesDecision
from splitopt.problems.cut_and_resources.decision import SHARES, decision_from_shares
from splitopt.problems.cut_and_resources.problem import ChoicesAndResources
from splitopt.results import StopReason, relative_gap
from splitopt.solvers.base import Kind, Search, Solver
from splitopt.solvers.cut_and_resources.dp_mora.agents import AgentNetwork
from splitopt.solvers.cut_and_resources.dp_mora.algorithm import (
    Trajectory,
    descend_in_blocks,
    share_out_all,
)
from splitopt.solvers.cut_and_resources.dp_mora.cut_step import CutRule
from splitopt.solvers.cut_and_resources.dp_mora.fleet import FleetNetwork, Network, PrivateData
from splitopt.solvers.cut_and_resources.dp_mora.graphs import (
    MAX_PAIRS,
    Graph,
    build_graph,
    check_graph,
    pairs_visited,
)
from splitopt.solvers.cut_and_resources.dp_mora.loading import load_steps
from splitopt.solvers.cut_and_resources.dp_mora.messages import audit
from splitopt.solvers.cut_and_resources.relaxation import load_loops, root_bound

UNITS = ("scaled", "printed")


_MOST_CUT_ITERATIONS = 1_000_000


@dataclass(frozen=True)
class DpMora(Solver[CutAndResources]):
    """Algorithms 1 and 2 of DP-MORA, run by agents that keep their data to themselves.

    Parameters
    ----------
    graph
        Who hears whose prices: ``"complete"``, ``"ring"``, ``"star"`` (every device hears only the
        server, which takes part in the consensus without a share), ``"erdos_renyi"``, or a list of
        pairs of devices. It must be connected.
    edge_probability, graph_seed
        Of ``"erdos_renyi"``.
    units
        ``"scaled"``: the flow counts seconds in units of (sum_n sqrt a_n)^2, which makes the price
        -1 at the optimum; ``"printed"``: in seconds, with which it hardly ever settles.
    step
        Integration step eta of the flow. None: 0.5/N, halved whenever the flow keeps overshooting
        (in scaled units).
    tolerance
        sigma of Algorithm 2: the flow stops when the squared gradients of each node are at most
        this over the number of nodes, so that their sum is at most this.
    max_iterations
        Largest number of steps of one run of Algorithm 2.
    cut_step, cut_tolerance, max_cut_iterations
        Constant step of Eq. 21 for cut / L (in scaled units: on latency over the device's own
        latency), the movement at which it stops, and the largest number of steps.
    round_tolerance, max_rounds
        sigma of Algorithm 1, relative, and the largest number of rounds over the four blocks.
    risk_fix
        Keep to the allowed cuts (constraint C1) in the cut step and in rounding. The printed
        algorithm does neither.
    reallocate
        Run Algorithm 2 again for the rounded cuts. The printed algorithm keeps the shares of the
        relaxed ones.
    clip
        Take zero for what the curves make negative, family by family. Otherwise the run ends where
        a device's time becomes negative.
    agents
        Run every device as an object and every message on its own: slow, for looking closely.
    """

    name: ClassVar[str] = "dp_mora"
    problem: ClassVar[str] = "cut_and_resources"
    objectives: ClassVar[frozenset[str]] = frozenset({"sum"})
    kind: ClassVar[Kind] = "decentralised"
    requires: ClassVar[tuple[str, ...]] = ("jax", "numba")

    graph: str | tuple[tuple[int, int], ...] = "complete"
    edge_probability: float = 0.5
    graph_seed: int = 0
    units: str = "scaled"
    step: float | None = None
    tolerance: float = 1e-12
    max_iterations: int = 200_000
    cut_step: float = 0.01
    cut_tolerance: float = 1e-6
    max_cut_iterations: int = 2_000
    round_tolerance: float = 1e-4
    max_rounds: int = 30
    risk_fix: bool = True
    reallocate: bool = True
    clip: bool = False
    agents: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "graph", check_graph(self.graph))
        check_choice("units", self.units, UNITS)
        check_positive("edge_probability", self.edge_probability, 1.0)
        if self.step is not None:
            check_positive("step", self.step)
        for name in ("tolerance", "cut_step", "cut_tolerance", "round_tolerance"):
            check_positive(name, getattr(self, name))
        for name in ("max_iterations", "max_cut_iterations", "max_rounds"):
            check_whole(name, getattr(self, name), 1)
        if self.max_cut_iterations > _MOST_CUT_ITERATIONS:
            raise InputError.at(
                "max_cut_iterations",
                f"is {self.max_cut_iterations}, it must be at most {_MOST_CUT_ITERATIONS}: no time "
                "limit is looked at in between",
            )
        check_whole("graph_seed", self.graph_seed, 0)
        for name in ("risk_fix", "reallocate", "clip", "agents"):
            if not isinstance(getattr(self, name), bool):
                raise InputError.at(name, f"is {getattr(self, name)!r}, it must be true or false")

    def refusal(self, problem: CutAndResources) -> str | None:
        """Reject budgets, choices that are no cuts, and too many pairs to connect.

        A bad graph is an `InputError`.
        """
        if isinstance(problem, ChoicesAndResources):
            return "relaxes the cut to a number, and this problem's choices are no cuts"
        if problem.budgets is not None:
            return f"cannot take budgets ({', '.join(problem.budgets.names)}): P1 has none"
        if (pairs := pairs_visited(self.graph, problem.devices)) > MAX_PAIRS:
            return (
                f"would have to connect {pairs:,} pairs of devices with graph={self.graph!r}, more "
                f"than {MAX_PAIRS:,}; graph='ring' or 'star' has fewer"
            )
        self.network_graph(problem.devices)
        return None

    def network_graph(self, devices: int) -> Graph:
        """Build the graph for N devices; raise `InputError` where it is not connected."""
        return build_graph(self.graph, devices, self.edge_probability, self.graph_seed)

    def cut_rule(self) -> CutRule:
        """Return the rule of the cut step."""
        return CutRule(
            self.cut_step,
            self.cut_tolerance,
            self.max_cut_iterations,
            self.units == "scaled",
            self.clip,
        )

    def load(self, problem: CutAndResources) -> None:
        """Compile the cut step for a fleet of this size, the flow, and what the bound needs."""
        load_loops(problem)
        data = PrivateData.of(problem, self.risk_fix)
        load_steps(data, self.network_graph(problem.devices), self.cut_rule(), self.agents)

    def run(self, problem: CutAndResources, search: Search) -> StopReason:
        """Descend on the relaxed problem, round, and report what it took."""
        graph = self.network_graph(problem.devices)
        data = PrivateData.of(problem, self.risk_fix)
        network: Network
        if self.agents:
            network = AgentNetwork(data, graph, search.rng)
        else:
            network = FleetNetwork(data, graph)
        _offer(search, network)
        if (reason := search.stop()) is not None:
            return reason
        trajectory = descend_in_blocks(network, self, search.stop)
        self._round(problem, search, network, trajectory)
        search.prove(root_bound(problem, search.is_over))
        search.iterations = sum(trajectory.flow_steps)
        search.details |= _report(network, trajectory)
        search.details["above_bound"] = relative_gap(search.objective, search.bound)
        search.message = "; ".join(dict.fromkeys(trajectory.notes)) or None
        assert trajectory.reason is not None  # every way out of the rounds gives one
        if trajectory.reason == "converged" and trajectory.unsettled:
            return "iterations"
        return trajectory.reason

    def _round(
        self, problem: CutAndResources, search: Search, network: Network, trajectory: Trajectory
    ) -> None:
        """Round the cuts, share out anew if asked to, scale back excessive shares, and propose."""
        relaxed = network.gather().relaxed
        network.round_cuts()
        if self.reallocate and trajectory.reason in ("converged", "iterations"):
            ending, trajectory.reason = trajectory.reason, None
            share_out_all(network, self, trajectory, search.stop)
            trajectory.reason = trajectory.reason or ending
        totals = [network.share_total(resource) for resource in range(3)]
        for resource, total in enumerate(totals):
            if total > 1:
                network.shrink(resource, total * (1 + 1e-15))
        objective = _offer(search, network)
        excess = dict(zip(SHARES, (total - 1 for total in totals), strict=True))
        search.details |= {
            "relaxed_cut": relaxed.tolist(),
            "rounded_cut": network.gather().cuts.tolist(),
            "rounded_objective": objective,
            "share_excess": excess,
            "constraint_violation": max(0.0, *excess.values()),
            "shares_scaled_back": [
                name for name, over in excess.items() if over > FEASIBILITY_TOLERANCE
            ],
        }
        if not math.isfinite(objective):
            banned = ~problem.allowed[np.arange(problem.devices), network.gather().cuts - 1]
            trajectory.notes.append(
                f"{int(banned.sum())} devices were rounded to cuts that are not allowed, as the "
                "printed algorithm leaves out constraint C1; risk_fix=True keeps to it"
            )


def _report(network: Network, trajectory: Trajectory) -> dict[str, Any]:
    """Return the counts of a run as plain data."""
    return {
        "rounds": len(trajectory.relaxed),
        "relaxed_objectives": trajectory.relaxed,
        "flow_steps": trajectory.flow_steps,
        "cut_steps": trajectory.cut_steps,
        "step_halvings": trajectory.halvings,
        "messages": network.audit.messages,
        "message_bytes": network.audit.bytes,
        "audit": audit(network.audit),
    }


def _offer(search: Search, network: Network) -> float:
    """Propose what the devices hold at this moment."""
    found = network.gather()
    decision: CutAndResourcesDecision = decision_from_shares(found.cuts, _capped(found.shares))
    return search.propose(decision)


def _capped(shares: FloatArray) -> FloatArray:
    """Scale down shares whose sum is above 1 by rounding."""
    total = shares.sum(axis=0)
    return np.asarray(shares / np.where(total > 1, total * (1 + 1e-15), 1.0))
