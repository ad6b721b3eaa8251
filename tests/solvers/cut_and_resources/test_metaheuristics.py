"""The general-purpose searches against enumeration, and that they keep to their limits."""

from __future__ import annotations

import importlib.util
import time

import numpy as np
import pytest

from splitopt import CutAndResources, InputError, solve

needs_pymoo = pytest.mark.skipif(
    importlib.util.find_spec("pymoo") is None, reason="needs the extra 'bench' (pymoo)"
)
NAMES = [
    "random_search",
    "differential_evolution",
    "dual_annealing",
    pytest.param("genetic", marks=needs_pymoo),
]
ALL = pytest.mark.parametrize("solver", NAMES)
OBJECTIVES = pytest.mark.parametrize("objective", ["sum", "makespan"])
TIMES = ("download_s", "upload_s", "server_s", "device_s")


@pytest.mark.one_quick
@ALL
@OBJECTIVES
@pytest.mark.parametrize(("seed", "masked"), [(0, False), (1, True), (2, False)])
def test_tiny_problems_are_solved(solver, objective, seed, masked, random_problem):
    """On a few dozen vectors of cuts, 200 evaluations reach the optimum."""
    problem = random_problem(seed, devices=3, layers=3, objective=objective, masked=masked)
    result = solve(problem, solver, seed=seed, max_evaluations=200)
    assert result.outcome in ("feasible", "optimal")
    assert result.objective == pytest.approx(solve(problem, "enumerate").objective, rel=1e-9)


@ALL
@OBJECTIVES
@pytest.mark.parametrize("seed", range(4))
def test_the_optimum_lies_between_bound_and_objective(solver, objective, seed, random_problem):
    """However early the search ends, it claims nothing that is better than the optimum."""
    problem = random_problem(seed, devices=4, layers=4, objective=objective, masked=True)
    optimum = solve(problem, "enumerate").objective
    result = solve(problem, solver, seed=seed, max_evaluations=10)
    assert result.objective >= optimum * (1 - 1e-9)
    assert 0 < result.bound <= optimum * (1 + 1e-9)


@pytest.mark.parametrize("solver", NAMES[1:])
def test_a_search_beats_random_draws(solver, random_problem):
    """With the same number of evaluations it finds better cuts than chance, for every seed."""
    problem = random_problem(3, devices=12, layers=8)
    for seed in range(3):
        chance = solve(problem, "random_search", seed=seed, max_evaluations=1500)
        assert solve(problem, solver, seed=seed, max_evaluations=1500).objective < chance.objective


@pytest.mark.one_quick
@ALL
@OBJECTIVES
def test_the_same_seed_gives_the_same_answer(solver, objective, random_problem):
    """Under a limit of evaluations runs repeat exactly; another seed searches elsewhere."""
    problem = random_problem(4, devices=10, layers=8, objective=objective)
    first, second, other = (
        solve(problem, solver, seed=seed, max_evaluations=130) for seed in (7, 7, 8)
    )
    assert first.decision.to_dict() == second.decision.to_dict()
    values = [[point.objective for point in run.trace] for run in (first, second, other)]
    assert values[0] == values[1]
    assert values[0] != values[2]


@ALL
@OBJECTIVES
def test_the_limit_of_evaluations_is_met(solver, objective, random_problem):
    """The run ends with as many evaluations as were granted, also within a generation."""
    problem = random_problem(5, devices=10, layers=8, objective=objective)
    for limit in (1, 2, 120):
        result = solve(problem, solver, max_evaluations=limit)
        assert (result.stop_reason, result.iterations) == ("iterations", limit)


@ALL
@OBJECTIVES
def test_without_time_there_is_still_a_plan(solver, objective, random_problem):
    """A time limit of 0 gives the first vector of cuts."""
    problem = random_problem(6, devices=10, layers=8, objective=objective, masked=True)
    result = solve(problem, solver, time_limit_s=0)
    assert (result.outcome, result.stop_reason, result.iterations) == ("feasible", "time", 1)


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("solver", "options"),
    [
        ("random_search", {}),
        ("differential_evolution", {"population": 5000}),
        ("dual_annealing", {}),
        pytest.param("genetic", {"population": 2000}, marks=needs_pymoo),
    ],
)
def test_time_is_up_within_a_generation(solver, options, random_problem):
    """Time is kept although one generation alone would take far longer."""
    problem = random_problem(7, devices=10, layers=8, objective="makespan")
    solve(problem, solver, max_evaluations=2)  # what is imported at first use does not count
    begin = time.process_time()  # the wall also has what others do
    result = solve(problem, solver, time_limit_s=0.15, max_evaluations=10**9, **options)
    assert result.stop_reason == "time"
    assert result.iterations < 2000
    assert time.process_time() - begin < 3


@ALL
def test_a_callback_ends_the_run(solver, random_problem):
    """A callback that returns True stops the search from inside the library that runs it."""
    problem = random_problem(8, devices=10, layers=8)
    result = solve(problem, solver, callback=lambda progress: progress.iterations > 1)
    assert (result.outcome, result.stop_reason) == ("feasible", "interrupted")
    assert result.iterations < 100_000


@ALL
def test_ctrl_c_keeps_the_best_plan(solver, random_problem):
    """An interruption inside the library's loop is no failure."""

    def interrupt(progress):
        if progress.iterations > 1:
            raise KeyboardInterrupt

    result = solve(random_problem(8, devices=10, layers=8), solver, callback=interrupt)
    assert (result.outcome, result.stop_reason) == ("feasible", "interrupted")


@ALL
@OBJECTIVES
def test_a_single_vector_is_the_optimum(solver, objective, random_problem):
    """Where every device has one allowed cut there is nothing to search."""
    data = random_problem(9, devices=3, layers=3).data()
    only = np.zeros((3, 3), dtype=bool)
    only[[0, 1, 2], [2, 0, 1]] = True
    problem = CutAndResources(**{**data, "allowed": only}, objective=objective)
    result = solve(problem, solver)
    assert (result.outcome, result.iterations) == ("optimal", 1)
    assert result.decision.cut.tolist() == [3, 1, 2]


@ALL
@OBJECTIVES
@pytest.mark.parametrize(("devices", "layers"), [(1, 1), (1, 2), (1, 9), (3, 1)])
def test_smallest_sizes(solver, objective, devices, layers, random_problem):
    """One device, one layer, or both."""
    problem = random_problem(10, devices=devices, layers=layers, objective=objective)
    result = solve(problem, solver, max_evaluations=60)
    assert result.objective == pytest.approx(solve(problem, "enumerate").objective, rel=1e-9)


@ALL
@OBJECTIVES
def test_nothing_to_do_takes_no_time(solver, objective, random_problem):
    """A problem of zeros has the optimum zero, and the run sees that it is there."""
    nothing = {name: np.zeros((3, 4)) for name in TIMES}
    problem = CutAndResources(**nothing, allowed=np.ones((3, 4), dtype=bool), objective=objective)
    result = solve(problem, solver, max_evaluations=100)
    assert (result.outcome, result.objective) == ("optimal", 0.0)


@pytest.mark.one_quick
@ALL
@OBJECTIVES
@pytest.mark.parametrize("factor", [4.0**-20, 4.0**20])
def test_the_unit_of_time_changes_no_step(solver, objective, factor, random_problem):
    """The search takes the same way to the same cuts in any unit."""
    problem = random_problem(11, devices=6, layers=6, objective=objective)
    tables = {name: getattr(problem, name) * factor for name in TIMES}
    scaled = CutAndResources(**{**problem.data(), **tables}, objective=objective)
    here, there = (solve(given, solver, max_evaluations=130) for given in (problem, scaled))
    assert there.decision.cut.tolist() == here.decision.cut.tolist()
    assert there.objective == pytest.approx(factor * here.objective, rel=1e-9)


@pytest.mark.parametrize(
    ("solver", "options", "message"),
    [
        ("random_search", {"max_evaluations": 0}, "max_evaluations: is 0"),
        ("random_search", {"max_evaluations": 1.5}, r"max_evaluations: is 1\.5"),
        ("dual_annealing", {"max_evaluations": True}, "max_evaluations: is True"),
        ("dual_annealing", {"initial_temp": 0}, "initial_temp: is 0"),
        ("dual_annealing", {"restart_temp_ratio": 1}, "restart_temp_ratio: is 1"),
        ("dual_annealing", {"accept": 0}, "accept: is 0"),
        ("differential_evolution", {"population": 5}, "population: is 5.*>= 6"),
        ("differential_evolution", {"strategy": "best"}, "strategy: is 'best'.*best1bin"),
        ("differential_evolution", {"mutation": 0.5}, r"mutation: is 0\.5.*a list of 2"),
        ("differential_evolution", {"mutation": (0.5, 2)}, "mutation: is 2"),
        ("differential_evolution", {"recombination": "x"}, "recombination: is 'x'"),
        ("differential_evolution", {"tolerance": -1}, "tolerance: is -1"),
        ("genetic", {"max_evaluations": "many"}, "max_evaluations: is 'many'"),
        ("genetic", {"population": 1}, "population: is 1.*>= 2"),
        ("genetic", {"crossover_prob": 1.1}, r"crossover_prob: is 1\.1"),
        ("genetic", {"crossover_eta": 0}, "crossover_eta: is 0"),
        ("genetic", {"mutation_eta": float("nan")}, "mutation_eta: is nan"),
    ],
)
def test_a_wrong_option_is_one_sentence(solver, options, message, random_problem):
    """It names the option, its value and what it must be."""
    with pytest.raises(InputError, match=f"^{message}"):
        solve(random_problem(0), solver, **options)


@pytest.mark.parametrize(
    "base", ["best1", "best2", "rand1", "rand2", "randtobest1", "currenttobest1"]
)
@pytest.mark.parametrize("crossover", ["bin", "exp"])
def test_all_strategies_run(base, crossover, random_problem):
    """Every strategy that is not refused is one that SciPy takes."""
    options = {"strategy": base + crossover, "population": 6, "mutation": [0.3, 1.9]}
    problem = random_problem(12, devices=6, layers=6)
    result = solve(problem, "differential_evolution", max_evaluations=60, **options)
    assert result.is_feasible
    assert result.stop_reason != "solver_error", result.message


@pytest.mark.parametrize(
    ("solver", "options"),
    [
        ("dual_annealing", {"initial_temp": 0.01, "restart_temp_ratio": 0.999, "accept": -1e4}),
        ("dual_annealing", {"initial_temp": 5e4, "restart_temp_ratio": 1e-12}),
        ("differential_evolution", {"mutation": (1.9, 0.0), "recombination": 0, "tolerance": 1}),
        pytest.param("genetic", {"population": 2, "crossover_prob": 0}, marks=needs_pymoo),
        pytest.param("genetic", {"crossover_eta": 0.1, "mutation_eta": 1000}, marks=needs_pymoo),
    ],
)
def test_options_at_the_ends_of_their_intervals_run(solver, options, random_problem):
    """What the checks let pass, the library takes."""
    problem = random_problem(13, devices=6, layers=6)
    result = solve(problem, solver, max_evaluations=500, **options)
    assert result.is_feasible
    assert result.stop_reason != "solver_error", result.message


@needs_pymoo
def test_pymoo_says_nothing(random_problem, monkeypatch, capfd):
    """Where pymoo is not compiled it would print a hint at its first use."""
    from pymoo import functions

    monkeypatch.setattr(functions, "is_compiled", lambda: False)
    monkeypatch.setattr(functions.FunctionLoader, "_FunctionLoader__instance", None)
    assert solve(random_problem(0), "genetic", max_evaluations=300).is_feasible
    assert capfd.readouterr() == ("", "")
