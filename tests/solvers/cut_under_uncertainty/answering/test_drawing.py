"""Bounds of a problem's rounds hold for exact answers, and the ends for all rounds."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import solve
from splitopt.engine import Engine
from splitopt.solvers.base import Search
from splitopt.solvers.cut_under_uncertainty.answering.drawing import DrawnRounds, FiniteRounds
from splitopt.solvers.cut_under_uncertainty.answering.inner import Inner
from splitopt.solvers.cut_under_uncertainty.answering.ledger import Ledger
from splitopt.solvers.cut_under_uncertainty.answering.rounds import Request
from tests.problems.cut_under_uncertainty.test_scenario import read
from tests.solvers.cut_under_uncertainty.cases import fleet


@pytest.fixture
def ledger_of():
    """Yield a ledger that answers with a solver, here."""
    with Engine("sequential").session() as session:

        def make(problem, inner="enumerate"):
            return Ledger(problem, Search(problem, None, 1e-9, 0), Inner(inner, {}, 0), session)

        yield make


def problems():
    """Return a drawn fleet and a cell with channels, both small enough to enumerate."""
    from splitopt import CutUnderUncertainty

    return [fleet(2), CutUnderUncertainty.from_scenario(read())]


@pytest.mark.parametrize("which", [0, 1])
def test_exact_answers_lie_between_the_bounds(ledger_of, which):
    """Every cut, against whole problems that are solved by themselves."""
    problem = problems()[which]
    ledger = ledger_of(problem)
    rounds = DrawnRounds(problem, ledger)
    cheap = rounds.draw(3, 12)
    rows = np.arange(12)
    found = rounds.answer([Request(cheap, v, rows) for v in range(rounds.cuts)])
    for v in range(rounds.cuts):
        exact = []
        for row in rows:
            drawn = {name: table[row] for name, table in cheap.drawn.items()}
            block = problem.source.block(v, **drawn)
            assert block.bound() == pytest.approx(cheap.lower[v, row], rel=1e-12)
            exact.append(solve(block, "enumerate").objective)
        np.testing.assert_allclose(found[v], exact, rtol=1e-12)
        assert (cheap.lower[v] <= np.array(exact) * (1 + 1e-12)).all()
        assert (np.array(exact) <= cheap.upper[v] * (1 + 1e-12)).all()
    assert (cheap.upper >= rounds.least()[:, None]).all()
    assert (cheap.lower >= rounds.least()[:, None]).all()
    assert (cheap.upper <= rounds.most()[:, None]).all()


def test_blocks_depend_on_their_number_only(ledger_of):
    """One cut alone has the same bounds, some rounds at a time too."""
    problem = fleet(0)
    rounds = DrawnRounds(problem, ledger_of(problem))
    whole, again = rounds.draw(5, 40), rounds.draw(5, 40)
    np.testing.assert_array_equal(whole.upper, again.upper)
    one = rounds.draw(5, 40, 1)
    np.testing.assert_array_equal(one.lower, whole.lower[1:2])
    np.testing.assert_array_equal(one.upper, whole.upper[1:2])
    assert not np.array_equal(rounds.draw(6, 40).lower, whole.lower)


def test_a_weak_solver_is_never_worse_than_the_upper_bound(ledger_of):
    """Devices of similar latency in each round against those of the mean round."""
    problem = fleet(0, sizes=(3, 3), close=0.8)
    rounds = DrawnRounds(problem, ledger_of(problem, "quick"))
    cheap, weaker = rounds.draw(0, 50), 0
    for v in range(3):
        values = rounds.answer([Request(cheap, v, np.arange(50))])[0]
        assert (values <= cheap.upper[v] * (1 + 1e-12)).all()
        alone = [
            Inner("quick", {}, 0)
            .solve(problem.source.block(v, compute=cheap.drawn["compute"][row]), 0, 0)
            .value
            for row in range(50)
        ]
        np.testing.assert_allclose(values, np.minimum(alone, cheap.upper[v]), rtol=1e-12)
        weaker += int((np.array(alone) > cheap.upper[v] * (1 + 1e-9)).sum())
    assert weaker > 0


def test_a_list_has_its_samples_as_rounds(ledger_of):
    """Answers are the samples' own, and count once."""
    problem = fleet(0, samples=5)
    ledger = ledger_of(problem)
    rounds = FiniteRounds(problem, ledger, None)
    values = rounds.answer([Request(rounds.all, 2, np.array([1, 4]))])[0]
    expected = [solve(problem.block(j, 2), "enumerate").objective for j in (1, 4)]
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    np.testing.assert_allclose(rounds.all.lower, problem.bounds(), rtol=1e-12)
    assert (ledger.answer(2, [1, 4]) == values).all()
    assert len(ledger) == 2
