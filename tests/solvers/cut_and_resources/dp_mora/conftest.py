"""Networks of agents and arrays over the same data."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.solvers.cut_and_resources.dp_mora.agents import AgentNetwork
from splitopt.solvers.cut_and_resources.dp_mora.fleet import FleetNetwork, PrivateData
from splitopt.solvers.cut_and_resources.dp_mora.graphs import build_graph


@pytest.fixture
def make_network():
    """Return a function that builds the network of a problem, by default of agents."""

    def make(problem, graph="complete", agents=True, keys=0):
        data = PrivateData.of(problem, risk_fix=True)
        edges = build_graph(graph, problem.devices, 0.7, 0)
        if not agents:
            return FleetNetwork(data, edges)
        return AgentNetwork(data, edges, np.random.default_rng(keys), keep=True)

    return make


@pytest.fixture
def share_out():
    """Return a function that runs Algorithm 2 for one resource and returns scale and run."""

    def run(network, resource=0, step=0.02, tolerance=1e-12, limit=100_000):
        assert network.alarms(resource, clip=False) == []
        scale = network.root_total(resource) ** 2
        network.start_flow(resource, scale)
        return scale, network.flow(resource, step, tolerance, limit)

    return run
