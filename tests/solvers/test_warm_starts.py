"""Every registered solver with a decision and prices to start from: no worse, and still right."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from benchmarks.warm_starts.__main__ import RESULTS, table
from splitopt import CapabilityError, InputError, solve
from splitopt.bench.instances.benchmark import find_benchmark
from splitopt.cli.entry import run
from splitopt.results import Result
from splitopt.solvers.backends.solvers import BackEnd
from splitopt.solvers.registry import SOLVERS, solver_class, why_not

EVERY = [(problem, name) for problem in SOLVERS for name in SOLVERS[problem]]
STARTED = [pair for pair in EVERY if solver_class(*pair).can_start()]
OUTSIDE = [pair for pair in STARTED if issubclass(solver_class(*pair), BackEnd)]
OUTSIDE.append(("cut_and_resources", "cp_sat"))
OWN = [pair for pair in STARTED if pair not in OUTSIDE]
LONG = (
    ("cut_and_resources", "differential_evolution"),
    ("cut_and_resources", "dual_annealing"),
    ("pipeline_partition", "subset_dp"),
    ("cut_and_resources", "genetic"),
    ("cluster_and_spectrum", "set_partition"),
    ("cluster_and_spectrum", "anneal"),
    ("cluster_and_spectrum", "gibbs"),
    ("cut_and_clusters", "set_partition"),
    ("cut_under_uncertainty", "saa"),
    ("cut_under_uncertainty", "enumerate"),
)
"""Who compiles, imports or answers many rounds, which takes seconds."""
SOON = ("generator_pairing", "graph_partition", "pipeline_partition", "replicated_pipeline")
"""Problems whose integer programs back ends prove at once; all go the same way to them."""
SAME = 1e-9
FEW = {"max_evaluations": 200}
"""Of searches that never end by themselves."""


@cache
def asked(name):
    """Return a small problem, its optimum and a plan that is no better than any rule's."""
    benchmark = find_benchmark(name)
    problem = benchmark.draw(benchmark.tiny)
    best = solve(problem, benchmark.reference)
    found = [best]
    for solver in SOLVERS[name]:
        made = solver_class(name, solver)
        if made.kind in ("rule", "heuristic") and not why_not(made(), problem):
            found.append(solve(problem, solver, time_limit_s=0))
    found = [result for result in found if result.is_feasible]
    return problem, best, max(found, key=lambda result: result.objective)


def options_of(solver):
    """Return options with which a run ends soon."""
    return FEW if hasattr(solver, "max_evaluations") else {}


@pytest.mark.parametrize(
    ("name", "solver"),
    [pytest.param(*pair, marks=[pytest.mark.slow] * (pair in LONG)) for pair in OWN],
)
def test_a_start_never_worsens_a_result(name, solver):
    """From a poor plan, the optimum and its own answer: no worse than these, and as proved."""
    problem, best, poor = asked(name)
    made = solver_class(name, solver)
    if reason := why_not(made(), problem):
        pytest.skip(reason)
    options = options_of(made)
    cold = solve(problem, solver, **options)
    for start in (poor, best, cold):
        warm = solve(problem, solver, start=start.decision, **options)
        assert warm.objective <= start.objective * (1 + 1e-12)
        assert warm.bound <= best.objective * (1 + SAME)
        if start is not poor:
            assert warm.objective <= cold.objective * (1 + 1e-12)
        if cold.outcome == "optimal":
            assert warm.outcome == "optimal"
            assert warm.objective == pytest.approx(best.objective, rel=2 * SAME)


@pytest.mark.parametrize(("name", "solver"), OWN)
def test_without_time_the_start_is_the_answer(name, solver):
    """A run that may not search gives what it was given."""
    problem, best, _ = asked(name)
    if reason := why_not(solver_class(name, solver)(), problem):
        pytest.skip(reason)
    given = solve(problem, solver, start=best.decision, time_limit_s=0)
    assert given.objective == pytest.approx(best.objective, rel=SAME)
    assert given.bound <= best.objective * (1 + SAME)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "solver"),
    [pair for pair in OUTSIDE if pair[0] in SOON or pair == ("cut_and_resources", "scip")],
)
def test_a_back_end_that_is_given_the_optimum_proves_it(name, solver):
    """The start neither hides a better plan nor spoils the bound."""
    problem, best, _ = asked(name)
    if reason := why_not(solver_class(name, solver)(), problem):
        pytest.skip(reason)
    given = solve(problem, solver, start=best.decision, time_limit_s=0)
    assert given.objective == pytest.approx(best.objective, rel=SAME)
    warm = solve(problem, solver, start=best.decision)
    assert warm.objective == pytest.approx(best.objective, rel=SAME)
    assert best.objective * (1 - 1e-5) <= warm.bound <= best.objective * (1 + SAME)


@pytest.mark.parametrize(("name", "solver"), [pair for pair in EVERY if pair not in STARTED])
def test_who_prescribes_an_answer_refuses_a_start_by_name(name, solver):
    """The message names who would take it."""
    problem, best, _ = asked(name)
    if reason := why_not(solver_class(name, solver)(), problem):
        pytest.skip(reason)
    with pytest.raises(CapabilityError, match=f"{solver}' does not start from a decision") as seen:
        solve(problem, solver, start=best.decision)
    assert find_benchmark(name).reference in str(seen.value)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_start_of_something_else_is_refused_in_a_sentence(name):
    """The decision of another problem, one of another size, and none at all."""
    problem, best, _ = asked(name)
    other = asked("common_cut" if name != "common_cut" else "time_to_accuracy")[1]
    benchmark = find_benchmark(name)
    sizes = (benchmark.draw(recipe) for recipe in benchmark.conformance)
    larger = next(one for one in sizes if benchmark.size(one) != benchmark.size(problem))
    strange = solve(larger, benchmark.reference).decision
    for start in (other.decision, other.decision.to_dict(), strange, best, 3, {}):
        with pytest.raises(InputError, match=r"^start: ") as seen:
            solve(problem, benchmark.reference, start=start)
        assert "\n" not in str(seen.value)


@pytest.mark.parametrize(("name", "solver"), EVERY)
def test_prices_prove_nothing_false(name, solver):
    """Stale and senseless prices bound from below, and end in the same optimum."""
    problem, best, _ = asked(name)
    made = solver_class(name, solver)
    if reason := why_not(made(), problem):
        pytest.skip(reason)
    if not made.takes_prices:
        with pytest.raises((CapabilityError, InputError), match="prices"):
            solve(problem, solver, prices=np.ones(3))
        return
    last = np.array(solve(problem, solver).details["prices"])
    for prices in (0 * last, 1e9 + last, 0.1 * last, last * [0.0, 1.0, 10.0]):
        loose = solve(problem, solver, prices=prices, rel_gap=0.5)
        assert loose.bound <= best.objective * (1 + SAME)
        again = solve(problem, solver, prices=prices)
        assert again.bound <= best.objective * (1 + SAME)
        assert again.objective == pytest.approx(best.objective, rel=2 * SAME)
    for prices in (last[:2], -1 - last, [np.nan] * 3, "dear"):
        with pytest.raises(InputError, match="prices"):
            solve(problem, solver, prices=prices)


def test_a_start_that_breaks_something_is_said_to_be_no_plan():
    """The run goes on without it, and its result says so."""
    problem, best, _ = asked("cut_and_resources")
    shared = problem.with_objective("sum")
    refused = best.decision.cut[0]
    allowed = np.ones(shared.allowed.shape, dtype=bool)
    allowed[0, refused - 1] = False
    stricter = type(shared).from_data({**shared.data(), "allowed": allowed}, "sum")
    found = solve(stricter, "enumerate", start=best.decision)
    assert found.outcome == "optimal"
    assert "no plan to beat" in found.message
    assert found.objective == pytest.approx(solve(stricter).objective, rel=SAME)
    assert solve(stricter, start=best.decision).objective == pytest.approx(found.objective)


def test_clusters_of_a_start_may_stand_in_any_order():
    """Annealing begins with the clusters of a start whose sizes are in another order."""
    benchmark = find_benchmark("cluster_and_spectrum")
    problem = benchmark.draw(benchmark.tiny)
    problem = type(problem).from_data(
        {**problem.data(), "cluster_sizes": [1, problem.devices - 1]}, "round"
    )
    best = solve(problem, "enumerate").decision
    turned = problem.complete(best.clusters[::-1])
    given = solve(problem, "anneal", start=turned, iterations=1, chains=1)
    assert given.objective <= problem.evaluate(turned) * (1 + 1e-12)


def test_the_table_in_the_documentation_is_that_of_the_registry():
    """What `python -m benchmarks.warm_starts` prints is what is committed."""
    assert (RESULTS / "warm-starts.md").read_text() == table()


def test_a_result_file_is_a_start_on_the_command_line(tmp_path, capsys):
    """Decision and prices come from the file; one of another problem is refused in a sentence."""
    problem, best, _ = asked("cut_and_resources")
    instance, file, out = (str(tmp_path / name) for name in ("i.json", "r.json", "o.json"))
    problem.save(instance)
    solve(problem).save(file)
    for solver in ("exact", "enumerate", "price_consensus"):
        code = run(["solve", instance, "--solver", solver, "--start", file, "-o", out])
        assert code == (2 if solver == "price_consensus" and problem.objective != "sum" else 0)
        assert Result.load(out).objective == pytest.approx(best.objective, rel=2 * SAME)
    assert run(["solve", instance, "--solver", "equal_share", "--start", file]) != 0
    assert "does not start from a decision" in capsys.readouterr().err
    asked("common_cut")[1].save(file)
    assert run(["solve", instance, "--start", file]) == 2
    assert "is a result of common_cut" in capsys.readouterr().err
    assert run(["solve", instance, "--start", instance]) == 2
    assert run(["solve", instance, "--start", str(tmp_path / "none.json")]) == 2
