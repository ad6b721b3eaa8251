"""Annealing of makespans on many servers: against eigenvalues of NumPy, enumeration and pairs."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import CutAndResources, solve
from splitopt.problems.compiling import plain
from splitopt.solvers.cut_and_resources.exact import annealing
from splitopt.solvers.cut_and_resources.exact.anneal_loops import (
    anneal_pass,
    largest,
    totals_of,
)
from splitopt.solvers.cut_and_resources.exact.space import undecided
from splitopt.solvers.cut_and_resources.relaxation.grouping import fleet_of
from splitopt.solvers.cut_and_resources.relaxation.measures import EigenvalueMeasure
from splitopt.solvers.cut_and_resources.relaxation.packing import THREE, Packing
from splitopt.solvers.cut_and_resources.relaxation.root import solve_root


def between_servers(seed, devices, sizes, cuts):
    """Draw a makespan of devices between servers with so many resources."""
    rng = np.random.default_rng(seed)
    servers, resources = len(sizes), int(np.sum(sizes))
    work = np.zeros((devices, servers, cuts, resources))
    start = 0
    for k, size in enumerate(sizes):
        work[:, k, :, start : start + size] = rng.lognormal(0, 1, (devices, cuts, size))
        start += size
    own = rng.uniform(0, 3, (devices, servers * cuts))
    work = work.reshape(devices, servers * cuts, resources)
    return CutAndResources.of_choices(work, own, "makespan")


def in_python(monkeypatch, each):
    """Anneal problems of any size, without compiling, and with few moves for each way to go."""
    monkeypatch.setattr(annealing, "_EACH", each)
    monkeypatch.setattr(annealing, "_FEWEST", 0)
    monkeypatch.setattr(annealing, "load_loops", lambda: None)
    for name, loop in (("anneal_pass", anneal_pass), ("totals_of", totals_of)):
        monkeypatch.setattr(annealing, name, plain(loop))


def test_largest_is_the_eigenvalue():
    """The formula agrees with LAPACK on random, equal and singular matrices."""
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(200, 3, 3)) * rng.choice([0.0, 1e-3, 1.0], size=(200, 1, 3))
    matrices = np.concatenate((roots @ roots.transpose(0, 2, 1), [np.eye(3), np.zeros((3, 3))]))
    group = THREE.groups[0]
    packed = matrices[:, group.row, group.column] * group.scale
    formula = [plain(largest)(vector) for vector in packed]
    assert formula == pytest.approx(np.linalg.eigvalsh(matrices)[:, -1], abs=1e-7)


def test_blocks_of_one_and_two_stand_as_blocks_of_three():
    """A smaller block is filled up with zeros, which change no largest eigenvalue."""
    rng = np.random.default_rng(1)
    packing = Packing(6, (np.array([0]), np.array([1, 2]), np.array([3, 4, 5])))
    alpha = rng.uniform(size=(5, 6))
    totals = packing.dyad(alpha)
    for total in totals:
        padded = annealing._gathered(total, annealing._places(packing))
        found = max(plain(largest)(block) for block in padded)
        assert found == pytest.approx(EigenvalueMeasure(packing).values(total[None])[0], abs=1e-7)


@pytest.mark.parametrize("sizes", [(3, 3), (3, 2, 1), (1, 1, 1)])
def test_annealed_counts_are_plans_and_never_worse(sizes, monkeypatch):
    """What comes back is one choice each, of those left, whose measure is what was promised."""
    in_python(monkeypatch, 5)
    problem = between_servers(2, 7, sizes, 2).plain
    fleet = fleet_of(problem)
    root = solve_root("makespan", fleet)
    first = np.zeros(fleet.device_s.shape, dtype=np.int64)
    first[:, 0] = 1
    limit = problem.evaluate(problem.complete(fleet.cuts(first)))
    space = undecided(fleet, limit, root.price, 0.0, 1.0)
    measure = EigenvalueMeasure(fleet.layout.packing)
    assert annealing.can_anneal(measure, space, 10_000)
    assert not annealing.can_anneal(EigenvalueMeasure(THREE), space, 10_000)
    used = space.used(first)
    rng = np.random.default_rng(0)
    found = annealing.anneal(space, fleet.layout.packing, used, root.price, lambda: False, rng)
    assert (found.sum(axis=1) == 1).all()
    assert (found <= space.high).all()
    before, after = measure.values(np.array([space.total(used), space.total(found)]))
    assert after <= before * (1 + 1e-7)


def test_a_halted_run_keeps_its_plan(monkeypatch):
    """Nothing is moved once time is up."""
    in_python(monkeypatch, 5)
    problem = between_servers(3, 6, (3, 3), 2).plain
    fleet = fleet_of(problem)
    root = solve_root("makespan", fleet)
    counts = fleet.counts(problem.complete(np.ones(6, dtype=np.int64)))
    space = undecided(fleet, 1e3, root.price, 0.0, 1.0)
    used = space.used(counts)
    found = annealing.anneal(
        space,
        fleet.layout.packing,
        used,
        root.price,
        lambda: True,
        np.random.default_rng(0),
    )
    assert np.array_equal(found, used)


def test_what_cannot_be_annealed():
    """Blocks of more than three resources, one block, and equal devices keep to pairs of moves."""
    assert not annealing.fits(Packing(4, (np.arange(4),)))
    assert not annealing.fits(Packing(6, (np.arange(4), np.array([4, 5]))))
    assert annealing.fits(Packing(6, (np.arange(3), np.array([3, 4, 5]))))


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(3, 3, 3, 3), (3, 2, 2, 1), (2, 2), (1, 1, 1)])
def test_optima_are_those_of_enumeration(sizes, monkeypatch):
    """`exact` ends where going through all plans ends, with one choice at a server or two."""
    in_python(monkeypatch, 30)
    for seed in range(10):
        problem = between_servers(seed, 4, sizes, 1 + seed % 2)
        exact, every = solve(problem, "exact"), solve(problem, "enumerate")
        assert exact.outcome == "optimal"
        assert exact.objective == pytest.approx(every.objective, rel=2e-9)
        assert exact.bound <= every.objective * (1 + 1e-12)


@pytest.mark.slow
def test_compiled_and_plain_loops_agree():
    """Machine code and Python take the same moves from the same random numbers."""
    problem = between_servers(5, 30, (3, 3, 2), 2).plain
    fleet = fleet_of(problem)
    root = solve_root("makespan", fleet)
    counts = fleet.counts(problem.complete(np.ones(30, dtype=np.int64)))
    space = undecided(fleet, 1e3, root.price, 0.0, 1.0)
    found = []
    for each in (anneal_pass, plain(anneal_pass)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(annealing, "_EACH", 30)
            patch.setattr(annealing, "anneal_pass", each)
            found.append(
                annealing.anneal(
                    space,
                    fleet.layout.packing,
                    space.used(counts),
                    root.price,
                    lambda: False,
                    np.random.default_rng(0),
                )
            )
    assert np.array_equal(*found)
