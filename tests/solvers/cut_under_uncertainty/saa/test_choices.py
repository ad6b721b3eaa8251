"""The procedures on rounds with known means and CVaRs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.coverage.families import Drawn, families
from splitopt.problems.cut_under_uncertainty.risk import statistic
from splitopt.solvers.cut_under_uncertainty.answering.rounds import Cheap, Request, answered
from splitopt.solvers.cut_under_uncertainty.saa.finite import FiniteChoice
from splitopt.solvers.cut_under_uncertainty.saa.mean import MeanChoice
from splitopt.solvers.cut_under_uncertainty.saa.tail import TailChoice
from splitopt.solvers.cut_under_uncertainty.saa.verdict import Settings


class Table:
    """Rounds as arrays: latencies and bounds of shape (V, n), in blocks from their beginning."""

    def __init__(self, latencies, lower, upper):
        self.latencies, self.lower, self.upper = latencies, lower, upper
        self.cuts, self.asked = len(latencies), 0

    def least(self):
        return self.lower.min(axis=1)

    def most(self):
        return self.upper.max(axis=1)

    def draw(self, stream, count, cut=None):
        rng = np.random.default_rng([stream, 7])
        columns = rng.integers(0, self.lower.shape[1], count)
        chosen = slice(None) if cut is None else slice(cut, cut + 1)
        return Cheap(stream, self.lower[chosen, columns], self.upper[chosen, columns], columns)

    def answer(self, requests):
        self.asked += sum(len(r.rows) for r in requests)
        return [
            self.latencies[r.cut, r.rows if r.cheap.drawn is None else r.cheap.drawn[r.rows]]
            for r in requests
        ]


def two_cuts(more, spread=0.2, loose=1.2, rounds=5000):
    """Return a table in which the second cut takes `more` longer in the mean, exactly."""
    rng = np.random.default_rng(3)
    common = 1 + spread * rng.uniform(-1, 1, rounds)
    first, second = common, common + 0.1 * rng.uniform(-1, 1, rounds)
    second += first.mean() * (1 + more) - second.mean()
    latencies = np.stack([first, second])
    return Table(latencies, latencies / loose, latencies * loose)


@pytest.mark.parametrize("procedure", ["mean", "tail"])
def test_far_cuts_are_told_apart_by_bounds_alone(procedure):
    """Twice the latency needs no answer, in any round."""
    rounds = two_cuts(1.0)
    choice = make(procedure, rounds)
    choice.run()
    verdict = choice.verdict()
    assert (verdict.status, verdict.cut, verdict.rivals) == ("settled", 0, ())
    assert rounds.asked == verdict.answers == 0
    assert 0 < verdict.above[1].low <= 1.0


def make(procedure, rounds, **settings):
    found = Settings(tolerance=0.02, **settings)
    if procedure == "mean":
        return MeanChoice(rounds, found)
    return TailChoice(rounds, 0.8, found)


@pytest.mark.parametrize("procedure", ["mean", "tail"])
def test_near_cuts_need_answers_and_the_better_one_is_found(procedure):
    """5 % more: bounds of 20 % cannot tell, some answers can; the value is in its interval."""
    rounds = two_cuts(0.05)
    choice = make(procedure, rounds)
    choice.run()
    verdict = choice.verdict()
    objective = "expected" if procedure == "mean" else "cvar"
    truth = statistic(rounds.latencies, objective, 0.8)
    assert (verdict.status, verdict.cut) == ("settled", int(truth.argmin()))
    assert 0 < rounds.asked == verdict.answers < 3000
    assert verdict.value.low <= truth[0] <= verdict.value.high
    assert verdict.above[1].low <= truth[1] - truth[0] <= verdict.above[1].high


@pytest.mark.parametrize("procedure", ["mean", "tail"])
def test_equal_cuts_are_as_good_as_each_other_and_a_small_price_leaves_it_open(procedure):
    """The same latency under both: settled at the tolerance, open where few answers are allowed."""
    same = two_cuts(0.0)
    same.latencies[1] = same.latencies[0] + 1e-3 * (same.latencies[1] - same.latencies[0])
    same.lower, same.upper = same.latencies / 1.2, same.latencies * 1.2
    choice = make(procedure, same)
    choice.run()
    verdict = choice.verdict()
    assert (verdict.status, len(verdict.rivals)) == ("settled", 1)
    assert verdict.gap_s <= 0.02 * same.latencies.mean() * (1 if procedure == "mean" else 2)
    stopped = make(procedure, same, pilot=32, max_rounds=32)
    stopped.run()
    verdict = stopped.verdict()
    assert verdict.status == "open"
    assert verdict.gap_s > 0


@pytest.mark.parametrize("procedure", ["mean", "tail"])
def test_one_candidate_is_never_open(procedure):
    """There is nothing to choose."""
    rounds = two_cuts(0.0)
    one = Table(rounds.latencies[:1], rounds.lower[:1], rounds.upper[:1])
    choice = make(procedure, one)
    choice.run()
    verdict = choice.verdict()
    assert (verdict.status, verdict.rivals, verdict.gap_s, one.asked) == ("settled", (), 0.0, 0)
    objective = "expected" if procedure == "mean" else "cvar"
    assert verdict.value.low <= float(statistic(one.latencies[0], objective, 0.8))
    assert verdict.value.high >= float(statistic(one.latencies[0], objective, 0.8))


@pytest.mark.parametrize("procedure", ["mean", "tail"])
def test_ends_that_do_not_hold_are_a_defect(procedure):
    """A round longer than the longest one is found out."""
    rounds = two_cuts(0.05)
    rounds.most = lambda: 0.8 * rounds.upper.max(axis=1)
    with pytest.raises(RuntimeError, match="outside the ends that were assumed"):
        make(procedure, rounds).run()


def test_an_answer_outside_its_bounds_is_a_defect():
    """Then the bounds of all the other rounds cannot be trusted."""
    rounds = two_cuts(0.05)
    rounds.latencies = rounds.latencies * 1.3
    with pytest.raises(RuntimeError, match="outside its cheap bounds"):
        answered(rounds, [Request(rounds.draw(0, 4), 0, np.arange(4))])


def test_what_is_bet_on_has_the_mean_of_the_latencies():
    """T of many blocks averages to E D although few rounds are answered, for every cut."""
    family = families()["rare"]
    totals = []
    for seed in range(30):
        choice = MeanChoice(Drawn(family, seed), Settings(tolerance=1e-9, max_rounds=32))
        choice.run()
        blocks = [b.values for b in choice._blocks if b.values is not None]
        totals.append(np.concatenate(blocks, axis=1).mean(axis=1))
    mean, error = np.mean(totals, axis=0), np.std(totals, axis=0) / np.sqrt(30)
    assert (np.abs(mean - family.truth("expected", 0.0)) <= 4 * error).all()


def test_what_a_cap_leaves_out_is_bounded_from_above():
    """One round of 10,000 is 10 s above the cap: 0.001 s in the mean, 0.005 s of a CVaR at 0.8."""
    latencies = np.ones((2, 10_000))
    latencies[:, 0] = 12.0
    rounds = Table(latencies, latencies, latencies)
    choice = TailChoice(rounds, 0.8, Settings())
    assert 0.005 <= choice._excess(0, 2.0, 20, np.log(100.0)) <= 0.02
    # Nothing above the cap in 20 x 16,384 rounds: (12 - 2) / 0.2 log(100) / (0.9 x 327,680).
    ones = np.ones((2, 10_000))
    rounds = Table(ones, ones, ones)
    rounds.most = lambda: np.array([12.0, 12.0])
    unseen = TailChoice(rounds, 0.8, Settings())
    assert unseen._excess(0, 2.0, 20, np.log(100.0)) == pytest.approx(
        50 * np.log(100.0) / (0.9 * 327_680)
    )


@pytest.mark.parametrize("procedure", ["mean", "tail"])
def test_the_same_seed_gives_the_same_verdict(procedure):
    """To the last bit; another seed another one."""
    found = []
    for seed in (4, 4, 5):
        choice = make(procedure, Drawn(families()["uniform"], seed), seed=seed)
        choice.run()
        found.append(choice.verdict())
    assert found[0] == found[1]
    assert found[0] != dataclasses.replace(found[2], settings=found[0].settings)


@pytest.mark.parametrize("objective", ["expected", "cvar"])
@pytest.mark.parametrize("seed", range(6))
def test_a_finite_list_is_compared_exactly(seed, objective):
    """The best of the full table, mostly without answering all of it; the bounds hold."""
    rng = np.random.default_rng(seed)
    latencies = 1 + rng.exponential(0.3, (4, 60)) + 0.05 * np.arange(4)[:, None]
    lower = latencies * rng.uniform(0.8, 1.0, (4, 60))
    rounds = Table(latencies, lower, latencies * rng.uniform(1.0, 1.2, (4, 60)))
    cheap = Cheap(0, rounds.lower, rounds.upper)
    choice = FiniteChoice(rounds, cheap, objective, 0.9, Settings())
    before = choice.verdict()
    choice.run()
    verdict = choice.verdict()
    truth = np.sort(latencies, axis=1)[:, -6 if objective == "cvar" else 0 :].mean(axis=1)
    assert (verdict.status, verdict.cut) == ("exact", int(truth.argmin()))
    assert verdict.gap_s == 0.0
    assert rounds.asked == verdict.answers < latencies.size
    for one in (before, verdict):
        own = truth[one.cut]
        assert one.value.low - 1e-12 <= own <= one.value.high + 1e-12
        assert one.gap_s >= own - truth.min() - 1e-12
        for v, more in one.above.items():
            assert more.low - 1e-12 <= truth[v] - own <= more.high + 1e-12
    assert before.status == "open"


def test_cuts_that_are_equal_in_every_round_are_named():
    """Nothing is left to answer, and neither is better."""
    latencies = np.tile(1 + np.arange(20.0), (2, 1))
    rounds = Table(latencies, latencies * 0.9, latencies * 1.1)
    cheap = Cheap(0, rounds.lower, rounds.upper)
    choice = FiniteChoice(rounds, cheap, "expected", 0.9, Settings())
    choice.run()
    verdict = choice.verdict()
    assert (verdict.status, verdict.cut, verdict.rivals) == ("exact", 0, (1,))
    assert verdict.value.estimate == pytest.approx(10.5)
