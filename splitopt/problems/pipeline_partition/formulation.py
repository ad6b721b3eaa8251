"""MP-SL's integer program (section 5) in numbers, for every modelling language alike.

x[i, j] is 1 where node i hosts layer j; pairs whose memory cannot do are left out. start[i, j] and
end[i, j] are 1 where the run of node i begins or ends with layer j.

    minimise    period      (or fill_forward + fill_backward, the epoch, or round, see `round_rows`)
    subject to  sum_i x[i, j] = 1                                           one_node[j]   (Eq. 6)
                sum_j x[i, j] >= 1                                          used[i]       (Eq. 6)
                K sum_j d_j x[i, j] <= mem_i                                memory[i]     (Eq. 8)
                start[i, j] >= x[i, j] - x[i, j - 1]                        starts[i, j]
                sum_j start[i, j] = 1   (at most 1 where nodes may idle)    one_run[i]
                end[i, j] >= x[i, j] - x[i, j + 1],  sum_j end[i, j] <= 1   ends, one_end
                sum_{h <= i} x[h, j] >= sum_{h <= i} x[h, j + 1]            in_order[i, j]
                every busy time <= period                                   see below

``"linear"`` contiguity is the one above, with N S rows. ``"quadratic"`` is what Eq. 7 must mean:
``x[i, j] (x[i, k - 1] - x[i, k]) <= 0`` for k < j: once node i has begun, it cannot stop before
another of its layers. As printed, Eq. 7 asks for ``x_ij (x_i,k-1 - 2 x_ij - x_ik) <= 0``, which is
at most ``1 - 2 = -1`` where x_ij is 1: it never binds, and scattered layers pass.

Busy times are linear: a node's forward and backward seconds; for ``uniform`` links the transfer at
a boundary where some node starts; for ``nic`` and ``serial`` the bytes at a node's own two
boundaries, which start and end name. A ``pairwise`` matrix is not linear in them (it asks who is
next to whom) and is left to the exact solver.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splitopt.errors import InfeasibleError, InputError
from splitopt.latency.pipeline_resources import link_seconds
from splitopt.problems.base import FloatArray
from splitopt.problems.linear_program import Terms, Values, Variable
from splitopt.problems.pipeline_partition.data import PipelinePartitionData
from splitopt.problems.pipeline_partition.decision import PipelinePartitionDecision

CONTIGUITY = ("linear", "quadratic")


@dataclass(frozen=True)
class Numbers:
    """The numbers of the integer program, times in units of ``unit_s``.

    Parameters
    ----------
    problem
        What is asked.
    unit_s
        Length in s of the unit of time.
    pairs
        The (node, layer) pairs whose memory fits.
    """

    problem: PipelinePartitionData
    unit_s: float
    pairs: list[tuple[int, int]]

    @classmethod
    def of(cls, problem: PipelinePartitionData, unit_s: float) -> Numbers:
        """Scale the numbers; raise where there is no answer, no form, or no unit of time."""
        if not 0 < unit_s < math.inf:
            raise InputError.at("unit_s", f"is {unit_s!r}, it must be a number of seconds above 0")
        if (reason := no_form(problem)) is not None:
            raise InputError(f"the integer program {reason}")
        if (reason := problem.infeasibility()) is not None:
            raise InfeasibleError(reason)
        need = problem.owners * problem.layer_memory_bytes
        fits = np.argwhere(need <= problem.capacity_bytes[:, None])
        return cls(problem, unit_s, [(int(i), int(j)) for i, j in fits])

    @property
    def has_ends(self) -> bool:
        """Whether the program needs to know where runs end."""
        return self.problem.links.has_interfaces

    def layers_of(self) -> dict[int, list[int]]:
        """Return the layers that fit each node."""
        found: dict[int, list[int]] = {i: [] for i in range(self.problem.nodes)}
        for i, j in self.pairs:
            found[i].append(j)
        return found

    def nodes_of(self) -> dict[int, list[int]]:
        """Return the nodes that each layer fits."""
        found: dict[int, list[int]] = {j: [] for j in range(self.problem.layers)}
        for i, j in self.pairs:
            found[j].append(i)
        return found

    def memory(self, node: int) -> Terms:
        """Return the memory that a node spends, as fractions of what it has."""
        size = float(self.problem.node_memory_bytes[node]) or 1.0
        need = self.problem.owners * self.problem.layer_memory_bytes / size
        return {("x", i, j): float(need[j]) for i, j in self.pairs if i == node}

    @cached_property
    def _runs(self) -> FloatArray:
        """Bytes of every run of neighbouring layers, rising, with 0 in front."""
        total = self.problem.owners * np.cumsum([0.0, *self.problem.layer_memory_bytes])
        sums = (total - total[:, None])[np.triu_indices(len(total), 1)]
        return np.concatenate(([0.0], np.sort(sums)))

    def memory_limit(self, node: int) -> float:
        """Return what bounds `memory`: midway from the largest run that fits to the next larger.

        A node hosts one run, so that any number between the two says the same. Solvers of other
        people take a row as kept when it is broken by 1e-6, which is a thousand times what the
        problem allows: midway, no run is that near to the limit.
        """
        size = float(self.problem.node_memory_bytes[node]) or 1.0
        fitting = int(np.searchsorted(self._runs, self.problem.capacity_bytes[node], side="right"))
        if fitting == len(self._runs):
            return max(1.0, float(self._runs[-1]) / size)
        return float(self._runs[fitting - 1] / size + self._runs[fitting] / size) / 2

    def computing(self, node: int, table: FloatArray) -> Terms:
        """Return the seconds of a node from a table (N, S)."""
        return {("x", i, j): float(table[i, j] / self.unit_s) for i, j in self.pairs if i == node}

    def busy(self) -> Iterator[tuple[str, int, Terms]]:
        """Return (kind, index, terms) of everything that the period is at least."""
        problem = self.problem
        both = problem.forward_s + problem.backward_s
        for i in range(problem.nodes):
            node = self.computing(i, both)
            if not problem.links.has_interfaces:
                yield "node_time", i, node
                continue
            serial = problem.links.model == "serial"
            if not serial:
                yield "node_time", i, node
            for kind, terms in self._interface(i):
                yield kind, i, {**node, **terms} if serial else terms
        if problem.links.model == "uniform":
            seconds = link_seconds(*self._link_transfers(), problem.links.duplex)
            for boundary in range(1, problem.layers):
                yield "link_time", boundary, self._starts_at(boundary, float(seconds[boundary - 1]))

    def latency(self) -> dict[Variable, float]:
        """Return the trip of one batch, without the owners' transfers."""
        problem = self.problem
        both = (problem.forward_s + problem.backward_s) / self.unit_s
        found: dict[Variable, float] = {("x", i, j): float(both[i, j]) for i, j in self.pairs}
        if not problem.links.costs_nothing:
            up, down = self._link_transfers()
            delay = 2 * float(problem.links.latency_s or 0.0)
            for boundary in range(1, problem.layers):
                trip = float(up[boundary - 1] + down[boundary - 1]) + delay / self.unit_s
                found |= self._starts_at(boundary, trip)
        return found

    def round_rows(self) -> tuple[list[Terms], list[float], list[float], float]:
        """Return what a round is at least, in units of time.

        Returns
        -------
        rows, constants
            ``round >= row + constant``: a full pipeline, then the batches of an owner of each
            group one after the other. All interfaces are alike, so that it does not matter to the
            owners which nodes are at the ends.
        channels
            Busy times per batch of the channels that owners share, which the period is at least.
        aggregation
            What is added to the round.
        """
        owners, unit = self.problem.owner_groups, self.unit_s
        assert owners is not None  # the objective needs them
        own, trip = self.problem.own_s(0, 0), self.latency()
        mean = float(np.average(own, weights=owners.count))
        rows: list[Terms] = [{**trip, ("period",): owners.all_batches - 1.0}]
        constants = [mean / unit]
        for batches, seconds in zip(owners.batches.tolist(), own.tolist(), strict=True):
            rows.append({key: batches * value for key, value in trip.items()})
            constants.append(batches * seconds / unit)
        channels = [seconds / unit for seconds in owners.channel_s.values()]
        return rows, constants, channels, owners.aggregation_s / unit

    @property
    def owner_time(self) -> float:
        """The owners' transfers of a batch."""
        return self.problem.owner_transfers_s / self.unit_s

    def _link_transfers(self) -> tuple[FloatArray, FloatArray]:
        """Shape (S - 1,) each: transfers at the inner boundaries over links of one rate."""
        band = np.asarray(self.problem.links.bandwidth_bytes_per_s).flat[0] * self.unit_s
        return self.problem.cut_up_bytes[1:-1] / band, self.problem.cut_down_bytes[1:-1] / band

    def _starts_at(self, boundary: int, value: float) -> dict[Variable, float]:
        return {("start", i, j): value for i, j in self.pairs if j == boundary}

    def _interface(self, node: int) -> Iterator[tuple[str, Terms]]:
        """Return what a node's interface receives and sends, together if it is half duplex."""
        problem = self.problem
        assert problem.links.interface_rates is not None
        rate = float(problem.links.interface_rates[node]) * self.unit_s
        up, down = problem.cut_up_bytes / rate, problem.cut_down_bytes / rate
        received: dict[Variable, float] = {}
        sent: dict[Variable, float] = {}
        for i, j in self.pairs:
            if i == node:
                received |= {("start", i, j): float(up[j]), ("end", i, j): float(down[j + 1])}
                sent |= {("start", i, j): float(down[j]), ("end", i, j): float(up[j + 1])}
        if problem.links.duplex == "full":
            yield "receive_time", received
            yield "send_time", sent
        else:
            yield "interface_time", {key: received[key] + sent[key] for key in received}


def no_form(problem: PipelinePartitionData) -> str | None:
    """Report why the integer program cannot state a problem, or None if it can."""
    links = problem.links
    if links.model == "pairwise":
        return "has no form for links of the model 'pairwise'; the solver 'subset_dp' takes them"
    if problem.objective in ("epoch", "round") and links.has_interfaces:
        rates = links.interface_rates
        if rates is not None and np.ptp(rates) > 0:
            return (
                f"has no form for the objective {problem.objective!r} with interfaces of different "
                "rates; the solver 'subset_dp' takes them"
            )
    return None


def check_contiguity(problem: PipelinePartitionData, contiguity: str) -> str:
    """Check the name of a form of contiguity, and that it can state the problem."""
    if contiguity not in CONTIGUITY:
        names = " or ".join(map(repr, CONTIGUITY))
        raise InputError.at("contiguity", f"is {contiguity!r}, it must be {names}")
    if contiguity == "quadratic" and not problem.links.costs_nothing:
        raise InputError.at("contiguity", "is 'quadratic', which knows no links; take 'linear'")
    return contiguity


def later_pairs(layers: list[int]) -> Iterator[tuple[int, int]]:
    """Return (k, j) with k - 1 and j among a node's layers and k < j, for the quadratic form."""
    for j in layers:
        for before in layers:
            if before + 1 < j:
                yield before + 1, j


def read_assignment(problem: PipelinePartitionData, values: Values) -> PipelinePartitionDecision:
    """Read the decision from values of x that are binary within a tolerance.

    Raises
    ------
    InputError
        Some layer is on no single node, as in a relaxed model.
    """
    use = np.zeros((problem.nodes, problem.layers))
    for (_, i, j), value in values.items():
        use[i, j] = value
    chosen = use > 0.99
    if (odd := np.flatnonzero(chosen.sum(axis=0) != 1)).size:
        raise InputError(f"the model's solution puts layer {odd[0]} on no single node")
    return PipelinePartitionDecision(chosen.argmax(axis=0))
