"""Vectors of cuts: the encoding, the evaluation of many at once, and how a run is stopped."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from splitopt.solvers.base import Search
from splitopt.solvers.cut_and_resources.cut_vectors import (
    CutVectors,
    Evaluations,
    Stopped,
    optimal_values,
)

OBJECTIVES = pytest.mark.parametrize("objective", ["sum", "makespan"])


def start(problem, time_limit_s=None):
    return Search(problem, time_limit_s, rel_gap=0.0, seed=0)


@pytest.mark.parametrize("seed", range(5))
def test_all_choices_are_all_allowed_vectors(seed, random_problem):
    """The choices run through exactly the vectors that the mask allows."""
    problem = random_problem(seed, devices=4, layers=4, masked=True)
    vectors = CutVectors.of(problem)
    choices = np.array(list(itertools.product(*(range(count) for count in vectors.counts))))
    found = {tuple(row) for row in vectors.cuts(choices).tolist()}
    wanted = itertools.product(
        *([cut for cut in range(1, 5) if problem.allowed[n, cut - 1]] for n in range(4))
    )
    assert found == set(wanted)


def test_points_are_cut_into_equal_slices(random_problem):
    """With four cuts the unit interval falls into quarters; its upper end is the last cut."""
    vectors = CutVectors.of(random_problem(0, devices=1, layers=4))
    points = np.array([[0.0], [0.2499], [0.25], [0.6], [0.75], [1.0]])
    cuts = vectors.cuts(vectors.nearest(points))
    assert cuts[:, 0].tolist() == [1, 1, 2, 3, 4, 4]


def test_draws_are_uniform(random_problem):
    """Every allowed cut of a device comes up about equally often."""
    vectors = CutVectors.of(random_problem(1, devices=2, layers=4))
    cuts = vectors.cuts(vectors.draw(np.random.default_rng(0), 8000))
    for column in cuts.T:
        counts = np.bincount(column, minlength=5)[1:]
        assert np.abs(counts - 2000).max() < 200  # five standard deviations


@OBJECTIVES
def test_many_vectors_at_once_are_each_worth_their_own_decision(objective, random_problem):
    """The values equal the latencies that the completed decisions themselves add up to."""
    problem = random_problem(2, devices=5, layers=4, objective=objective, masked=True)
    vectors = CutVectors.of(problem)
    cuts = vectors.cuts(vectors.draw(np.random.default_rng(1), 30))
    decisions = [problem.complete(row) for row in cuts]
    join = sum if objective == "sum" else max
    wanted = [join(problem.latencies(decision)) for decision in decisions]
    assert optimal_values(problem, cuts) == pytest.approx(wanted, rel=1e-12)


@OBJECTIVES
def test_the_limit_is_met_exactly(objective, random_problem):
    """A batch over the limit is evaluated as far as the limit goes, and the best is proposed."""
    problem = random_problem(3, devices=5, layers=4, objective=objective)
    vectors = CutVectors.of(problem)
    search = start(problem)
    evaluate = Evaluations(problem, search, limit=17)
    cuts = vectors.cuts(vectors.draw(np.random.default_rng(2), 30))
    evaluate(cuts[:10])
    with pytest.raises(Stopped) as stopped:
        evaluate(cuts[10:])
    assert stopped.value.reason == "iterations"
    assert search.iterations == 17
    assert search.objective == pytest.approx(optimal_values(problem, cuts[:17]).min(), rel=1e-12)


@OBJECTIVES
def test_without_time_one_evaluation_is_still_made(objective, random_problem):
    """The first call answers although time is up, the second does not."""
    problem = random_problem(4, devices=5, layers=4, objective=objective)
    search = start(problem, time_limit_s=0.0)
    evaluate = Evaluations(problem, search)
    evaluate(np.ones((1, 5), dtype=np.int64))
    assert search.best is not None
    with pytest.raises(Stopped, match="time"):
        evaluate(np.ones((1, 5), dtype=np.int64))
    assert search.iterations == 1


def test_only_improvements_are_proposed(random_problem, monkeypatch):
    """A vector that is not better than the best before is evaluated but not proposed."""
    problem = random_problem(5, devices=3, layers=3)
    search = start(problem)
    proposed = []
    monkeypatch.setattr(search, "propose", lambda decision: proposed.append(decision) or 0.0)
    evaluate = Evaluations(problem, search)
    vectors = CutVectors.of(problem)
    cuts = vectors.cuts(vectors.draw(np.random.default_rng(3), 200))
    values = np.concatenate([evaluate(row[None]) for row in cuts])
    records = np.flatnonzero(values < np.minimum.accumulate(np.append(np.inf, values))[:-1])
    assert [decision.cut.tolist() for decision in proposed] == cuts[records].tolist()
