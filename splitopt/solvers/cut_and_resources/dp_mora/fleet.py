"""The devices of a run as arrays: what each of them would compute, done for all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from splitopt.latency.relaxed import TABLE, latency_at, values_at
from splitopt.problems.base import BoolArray, FloatArray, IntArray
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.problems.cut_and_resources.data import TIMES
from splitopt.solvers.cut_and_resources.dp_mora.cut_step import CutRule, descend
from splitopt.solvers.cut_and_resources.dp_mora.flow import advance
from splitopt.solvers.cut_and_resources.dp_mora.graphs import Graph
from splitopt.solvers.cut_and_resources.dp_mora.messages import CODE, KINDS
from splitopt.solvers.cut_and_resources.messaging.log import MessageLog


class FlowRun(NamedTuple):
    """Steps that the flow took, and `RUNNING`, `SETTLED` or `DIVERGED` of the module `flow`."""

    steps: int
    ending: int


class Gathered(NamedTuple):
    """What the devices hold at the end: cuts (N,), relaxed cuts (N,) and shares (N, 3)."""

    cuts: IntArray
    relaxed: FloatArray
    shares: FloatArray


class Network(Protocol):
    """Devices and a server that exchange messages; the resources are 0, 1, 2 as in `TIMES`."""

    audit: MessageLog
    graph: Graph

    def improve_cuts(self, rule: CutRule) -> int:
        """Run the cut step of every device; return the steps of the slowest."""
        ...

    def alarms(self, resource: int, clip: bool) -> list[int]:
        """Return which devices need a negative time of a resource, which no flow can share out."""
        ...

    def root_total(self, resource: int) -> float:
        """Learn the sum of the square roots of the needed seconds, by masked values."""
        ...

    def start_flow(self, resource: int, scale: float) -> None:
        """Start Algorithm 2 anew for every device, in units of `scale` seconds."""
        ...

    def flow(self, resource: int, step: float, tolerance: float, limit: int) -> FlowRun:
        """Run up to `limit` steps of the flow."""
        ...

    def undo(self, resource: int) -> None:
        """Restore the share that every device had before the flow began."""
        ...

    def latency_total(self, clip: bool) -> float:
        """Learn the sum of the latencies at the relaxed cuts, by masked values."""
        ...

    def share_total(self, resource: int) -> float:
        """Learn the sum of the shares of a resource, by masked values."""
        ...

    def shrink(self, resource: int, total: float) -> None:
        """Divide the share of every device by the total."""
        ...

    def round_cuts(self) -> None:
        """Round the cut of every device (Algorithm 1, line 12) and go by its table from now on."""
        ...

    def gather(self) -> Gathered:
        """Collect the plan after the run; no message, since the server has to carry it out."""
        ...


@dataclass(frozen=True)
class PrivateData:
    """What the devices know, each its own row.

    Parameters
    ----------
    columns
        The four phases over a relaxed cut, leading axis N: curves, or the table.
    table
        Shape (N, 4, L): the four phases at the integer cuts.
    choices
        Shape (N, L): the cuts that rounding may end at.
    low, high
        Shape (N,): the relaxed cuts lie between these.
    """

    columns: Mapping[str, FloatArray]
    table: FloatArray
    choices: BoolArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, problem: CutAndResources, risk_fix: bool) -> PrivateData:
        """Read the curves of a problem, or its tables with lines between the cuts."""
        table = np.stack([getattr(problem, name) for name in TIMES], axis=1)
        columns = {TABLE: table} if problem.curves is None else dict(problem.curves)
        choices = problem.allowed if risk_fix else np.ones_like(problem.allowed)
        first = choices.argmax(axis=1) + 1
        last = problem.layers - choices[:, ::-1].argmax(axis=1)
        return cls(columns, table, choices, first.astype(np.float64), last.astype(np.float64))

    @property
    def devices(self) -> int:
        """Number of devices N."""
        return len(self.low)

    @property
    def layers(self) -> int:
        """Number of layers L."""
        return int(self.table.shape[2])

    def rounded(self, relaxed: FloatArray) -> IntArray:
        """Return the nearest choice to each relaxed cut (N,), the lower one of two as near.

        A distance that differs by rounding error alone counts as equal.
        """
        cuts = np.arange(1, self.layers + 1)
        apart = np.where(self.choices, np.abs(cuts - relaxed[:, None]).round(12), np.inf)
        return np.asarray(apart.argmin(axis=1) + 1, dtype=np.int64)


class FleetNetwork:
    """All devices in arrays; the audit counts the messages that their exchange stands for."""

    def __init__(self, data: PrivateData, graph: Graph) -> None:
        n = data.devices
        self.audit, self.graph, self._data = MessageLog(KINDS), graph, data
        self._columns = data.columns
        self._alpha = np.clip(0.5, data.low / data.layers, data.high / data.layers)
        self._cuts = data.rounded(self._alpha * data.layers)
        self._shares = np.full((n, 3), 1.0 / n)
        self._before = self._shares.copy()
        self._need, self._price = np.zeros(n), np.zeros(graph.nodes)
        self._memory, self._settled = np.zeros(graph.nodes), np.zeros(graph.nodes, dtype=np.bool_)
        self.audit.count("mask_key", n * (n - 1) // 2)

    def improve_cuts(self, rule: CutRule) -> int:
        """Descend on all relaxed cuts."""
        self._command()
        data = self._data
        low, high = data.low / data.layers, data.high / data.layers
        self._alpha, steps = descend(
            self._columns, data.layers, self._alpha, self._shares, low, high, rule
        )
        return steps

    def alarms(self, resource: int, clip: bool) -> list[int]:
        """Set the needs of a resource and name the devices whose need is negative."""
        seconds = values_at(self._columns, self._alpha * self._data.layers, clip=clip)
        self._need = np.ascontiguousarray(seconds[:, resource])
        negative: list[int] = np.flatnonzero(self._need < 0).tolist()
        self.audit.count("alarm", len(negative))
        return negative

    def root_total(self, resource: int) -> float:  # noqa: ARG002 - the need of `alarms`
        """Add the roots of the needs."""
        return self._sum(np.sqrt(self._need))

    def start_flow(self, resource: int, scale: float) -> None:
        """Set equal shares and zero prices."""
        self._command()
        self._before = self._shares.copy()
        self._shares[:, resource] = 1.0 / self._data.devices
        self._need = self._need / scale
        for state in (self._price, self._memory, self._settled):
            state[:] = 0

    def flow(self, resource: int, step: float, tolerance: float, limit: int) -> FlowRun:
        """Step all devices and the server of the star together."""
        self._command()
        share = np.ascontiguousarray(self._shares[:, resource])
        graph = self.graph
        steps, heard, votes, ending = advance(
            self._need,
            share,
            self._price,
            self._memory,
            self._settled,
            graph.starts,
            graph.neighbours,
            step,
            tolerance,
            limit,
        )
        self._shares[:, resource] = share
        self.audit.count("relayed_price", heard * graph.relayed)
        self.audit.count("price", steps * self._data.devices)
        self.audit.count("vote", votes)
        return FlowRun(steps, ending)

    def undo(self, resource: int) -> None:  # noqa: ARG002 - the other columns are unchanged
        """Restore the shares."""
        self._command()
        self._shares = self._before.copy()

    def latency_total(self, clip: bool) -> float:
        """Add the latencies."""
        cut = self._alpha * self._data.layers
        return self._sum(latency_at(self._columns, cut, self._shares, clip=clip))

    def share_total(self, resource: int) -> float:
        """Add the shares."""
        return self._sum(self._shares[:, resource])

    def shrink(self, resource: int, total: float) -> None:
        """Divide the shares."""
        self._command()
        self._shares[:, resource] /= total

    def round_cuts(self) -> None:
        """Round, and take the tables for the curves."""
        self._command()
        self._cuts = self._data.rounded(self._alpha * self._data.layers)
        self._columns = {TABLE: self._data.table}
        self._alpha = self._cuts / self._data.layers

    def gather(self) -> Gathered:
        """Copy the state."""
        relaxed = self._alpha * self._data.layers
        return Gathered(self._cuts.copy(), relaxed, self._shares.copy())

    def _command(self) -> None:
        self.audit.count("command", self._data.devices)

    def _sum(self, values: FloatArray) -> float:
        self._command()
        self.audit.count("masked", self._data.devices)
        self.audit.count("total", self._data.devices)
        # The masks would cancel: what is left is the exact sum of the rounded values.
        return CODE.decode(CODE.add(map(CODE.encode, values.tolist()), signed=True))
