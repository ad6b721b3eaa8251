"""Algorithm 2's flow against the closed form of the shares and its known numbers of steps."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.solvers.cut_and_resources.dp_mora.flow import (
    DIVERGED,
    RUNNING,
    SETTLED,
    advance,
)
from splitopt.solvers.cut_and_resources.dp_mora.graphs import build_graph

GRAPHS = pytest.mark.parametrize("kind", ["complete", "ring", "star", "erdos_renyi"])


def run(need, kind="complete", step=None, tolerance=1e-12, limit=200_000, code=None):
    n = len(need)
    graph = build_graph(kind, n, 0.6, 1)
    share = np.full(n, 1.0 / n)
    price, memory = np.zeros(graph.nodes), np.zeros(graph.nodes)
    settled = np.zeros(graph.nodes, dtype=np.bool_)
    step = 0.5 / n if step is None else step
    state = (need, share, price, memory, settled, graph.starts, graph.neighbours)
    return (code or advance)(*state, step, tolerance, limit), share, price


def scaled(seed, n):
    need = np.random.default_rng(seed).uniform(1.0, 4.0, n)
    return need / np.sqrt(need).sum() ** 2


@GRAPHS
@pytest.mark.parametrize("n", [5, 10])
def test_consensus_reaches_the_closed_form(kind, n):
    """Shares go to sqrt(a_n) / sum sqrt(a) and every price to -1, the sum's derivative."""
    need = scaled(0, n)
    (_, _, _, ending), share, price = run(need, kind)
    assert ending == SETTLED
    assert share == pytest.approx(np.sqrt(need), rel=2e-5)
    assert price == pytest.approx(-1.0, rel=1e-4)


@pytest.mark.parametrize(("n", "known"), [(5, 1130), (10, 4445), (30, 38197)])
def test_known_numbers_of_steps(n, known):
    """In scaled units with a step of 0.5/N the flow takes the number of steps known for N."""
    for seed in range(3):
        (steps, _, _, ending), _, _ = run(scaled(seed, n))
        assert ending == SETTLED
        assert steps == pytest.approx(known, rel=5e-3)


@GRAPHS
def test_compiled_is_the_plain_function(kind):
    """Machine code and Python agree in every bit of the state and in the counts."""
    need = scaled(3, 5)
    fast, share, price = run(need, kind, limit=300)
    slow, share_too, price_too = run(need, kind, limit=300, code=advance.py_func)
    assert fast == slow
    assert np.array_equal(share, share_too)
    assert np.array_equal(price, price_too)


def test_a_step_above_one_over_n_diverges():
    """On the complete graph the largest eigenvalue is N: a step beyond 1/N runs away, said so."""
    (steps, _, _, ending), _, _ = run(scaled(0, 5), step=0.25)
    assert ending == DIVERGED
    assert steps < 10_000


def test_in_seconds_the_flow_does_not_settle():
    """With needs in the thousands of seconds, as printed, shares are still far off budget."""
    (steps, _, _, ending), share, _ = run(1e4 * scaled(0, 5), limit=20_000)
    assert (steps, ending) == (20_000, RUNNING)
    assert abs(share.sum() - 1) > 0.1


def test_who_needs_nothing_gets_next_to_nothing():
    """A device without need ends at the floor, the others share the whole."""
    need = np.array([0.25, 0.25, 0.0])
    (_, _, _, ending), share, _ = run(need, step=0.05)
    assert ending == SETTLED
    assert share == pytest.approx([0.5, 0.5, 0.0], abs=1e-5)
