"""Compiling the steps of DP-MORA, or loading them, before a clock starts."""

from __future__ import annotations

import numpy as np

from splitopt.solvers.cut_and_resources.dp_mora.cut_step import CutRule
from splitopt.solvers.cut_and_resources.dp_mora.fleet import FleetNetwork, PrivateData
from splitopt.solvers.cut_and_resources.dp_mora.graphs import Graph


def load_steps(data: PrivateData, graph: Graph, rule: CutRule, agents: bool) -> None:
    """Run both kinds of steps for no time, with the very arrays of a run.

    JAX compiles the cut step for a number of devices: all of them, or one where each is an agent.
    Agents step the flow one by one, in Python.
    """
    if agents:
        one = np.zeros(1, dtype=np.int64)
        columns = {name: column[one] for name, column in data.columns.items()}
        row = PrivateData(
            columns, data.table[one], data.choices[one], data.low[one], data.high[one]
        )
        FleetNetwork(row, graph).improve_cuts(rule._replace(limit=0))
        return
    network = FleetNetwork(data, graph)
    network.improve_cuts(rule._replace(limit=0))
    network.start_flow(0, 1.0)
    network.flow(0, 1.0, 1.0, 0)
