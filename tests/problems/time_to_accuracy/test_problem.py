"""Time to accuracy: cases by hand, what must not change or only one way, files, bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from splitopt import CapabilityError, InputError, load_problem, solve
from splitopt.bench.instances.families.time_to_accuracy import BENCHMARK, fleet, per_device
from splitopt.bench.instances.library.time_to_accuracy import two_devices
from splitopt.problems.time_to_accuracy import TimeToAccuracy
from splitopt.problems.time_to_accuracy.convergence_bound import promised_rounds


def test_two_devices_by_hand():
    """The numbers of the docstring of the instance."""
    problem = two_devices()
    small, mixed = problem.complete(1, 1, 1), problem.complete(1, [4, 1], 1)
    assert problem.phases(small).tolist() == [6.0, 2.0, 3.0, 0.0]
    assert problem.evaluate(small) == 220.0
    assert problem.evaluate(mixed) == pytest.approx(16.25 * (8 + 5 + 4))
    assert solve(problem).objective == 220.0


def test_the_curve_counts_the_interval_by_the_largest_cut():
    """Rounds grow by I^(c2 sqrt(share)), and the exchange is spread over I steps."""
    problem = replace(
        two_devices(),
        intervals=np.array([1, 16]),
        cuts="per_device",
        model_up_s=np.full((2, 2), 32.0),
    )
    deep = problem.complete([1, 2], [1, 1], 16)
    assert problem.rounds_of(deep) == pytest.approx(20 * 16**0.5)
    assert problem.rounds_of(problem.complete(1, 1, 16)) == pytest.approx(20 * 16**0.25)
    assert problem.phases(deep)[3] == 2.0


def changed(problem, **fields):
    return TimeToAccuracy(**problem.data() | fields)


@pytest.mark.parametrize("family", ["fleet", "per_device", "masked", "tabulated"])
def test_the_order_of_devices_and_the_unit_of_time_do_not_matter(family):
    problem = BENCHMARK.families[family](seed=1, devices=6)
    best = solve(problem).objective
    order = np.random.default_rng(0).permutation(6)
    names = ("forward_s", "upload_s", "gradient_s", "backward_s", "model_down_s", "model_up_s")
    same = {name: getattr(problem, name)[order] for name in (*names, "largest_batch")}
    assert solve(changed(problem, **same)).objective == pytest.approx(best)
    scaled = {name: 1000 * getattr(problem, name) for name in (*names, "server_s")}
    assert solve(changed(problem, **scaled)).objective == pytest.approx(1000 * best)


def test_more_to_choose_from_is_never_worse():
    """Other batch sizes, intervals, cuts apart or more memory cannot lengthen the best plan."""
    few = fleet(2, 10, sizes=3, intervals=2)
    best = solve(few).objective
    assert solve(fleet(2, 10, sizes=5, intervals=2)).objective <= best * (1 + 1e-9)
    assert solve(fleet(2, 10, sizes=3, intervals=3)).objective <= best * (1 + 1e-9)
    assert solve(per_device(2, 10, sizes=3, intervals=2)).objective <= best * (1 + 1e-9)
    tight = changed(few, largest_batch=np.full((10, few.layers), 4))
    assert solve(tight).objective >= best * (1 - 1e-9)


def test_a_slower_device_or_a_worse_curve_is_never_better():
    problem = per_device(0, 8)
    best = solve(problem).objective
    slow = problem.forward_s.copy()
    slow[3] *= 4
    assert solve(changed(problem, forward_s=slow)).objective >= best * (1 - 1e-9)
    worse = dict(problem.rounds) | {"batch_factor": 10.0}
    assert solve(changed(problem, rounds=worse)).objective >= best * (1 - 1e-9)


def test_a_table_of_the_curve_is_the_curve():
    problem = per_device(4, 9)
    listed = changed(problem, rounds={"table": problem.rounds_by_choice})
    assert solve(listed).objective == pytest.approx(solve(problem).objective)


@pytest.mark.parametrize("suffix", ["json", "npz"])
def test_instances_are_read_back(tmp_path, suffix):
    for name in ("masked", "tabulated"):
        problem = BENCHMARK.families[name](seed=3, devices=4)
        path = tmp_path / f"{name}.{suffix}"
        problem.save(path)
        read = load_problem(path)
        assert solve(read).objective == solve(problem).objective
        assert solve(read, "hasfl").objective == solve(problem, "hasfl").objective


def test_rules_are_worse_or_equal_and_say_what_they_promised():
    problem = fleet(0, 20)
    best = solve(problem).objective
    for name in ("uniform_batch", "no_model", "hasfl", "adaptsfl"):
        found = solve(problem, name)
        assert found.is_feasible
        assert found.objective >= best * (1 - 1e-9)
    assert solve(problem, "hasfl").details["promised_s"] > 0


def test_hasfl_is_at_the_best_plan_of_its_bound_where_that_is_easy():
    """Against all plans of two devices, valued by the bound: block descent reaches 5 % here."""
    problem = fleet(5, 2, layers=3, sizes=4, intervals=2)
    found = solve(problem, "hasfl").details["promised_s"]
    constants = problem.convergence_bound
    values = []
    for cut in (1, 2, 3):
        for a in problem.batch_sizes:
            for b in problem.batch_sizes:
                for interval in problem.intervals:
                    plan = problem.complete(cut, [a, b], interval)
                    inverse = (1 / a + 1 / b) / 2
                    rounds = promised_rounds(constants, inverse, cut, interval, 2)
                    values.append(float(rounds) * problem.round_seconds(plan))
    assert min(values) * (1 - 1e-9) <= found <= min(values) * 1.05


def test_the_bound_by_hand():
    """2 theta / (gamma (eps - noise - drift)), infinite where noise and drift leave nothing."""
    constants = {
        "learning_rate": 0.5,
        "smoothness": 2.0,
        "distance": 3.0,
        "variance": 4.0,
        "target": 5.0,
        "second_moment": np.array([0.25, 1.0]),
    }
    # Noise: 2 * 0.5 * 4 * m / 2 = 2 m; drift: 4 * I^2 * D from I = 2 on.
    assert promised_rounds(constants, 0.5, 1, 1, 2) == pytest.approx(12 / 4)
    assert promised_rounds(constants, 0.5, 2, 1, 2) == pytest.approx(12 / 4)
    assert promised_rounds(constants, 0.25, 1, 2, 2) == pytest.approx(12 / 0.5)
    assert promised_rounds(constants, 0.25, 2, 2, 2) == np.inf


def test_a_bound_that_promises_nothing_is_no_plan():
    problem = fleet(0, 4)
    constants = dict(problem.convergence_bound) | {"target": 1e-9}
    for name in ("hasfl", "adaptsfl"):
        found = solve(changed(problem, convergence_bound=constants), name)
        assert found.outcome == "no_solution"
        assert "no plan reaches the target" in found.message


def test_rules_by_the_bound_ask_for_its_constants():
    with pytest.raises(CapabilityError, match="splitopt calibrate --bound") as raised:
        solve(two_devices(), "hasfl")
    assert "exact" in str(raised.value)


CURVE = two_devices().rounds


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"batch_sizes": [0, 4]}, r"batch_sizes\[0\]: is 0, it must be at least 1"),
        ({"batch_sizes": [4, 1]}, r"batch_sizes\[1\]: is 1, after 4; list each once, rising"),
        ({"intervals": [0]}, r"intervals\[0\]: is 0, it must be at least 1"),
        ({"intervals": []}, "has 0 entries"),
        ({"rounds": 10}, "splitopt calibrate"),
        ({"rounds": {"rounds": 10.0}}, "batch_factor: is missing; measure it by 'splitopt cal"),
        (
            {"rounds": dict(CURVE) | {"rounds": 0}},
            "rounds.rounds: is 0, it must be finite and abov",
        ),
        ({"rounds": dict(CURVE) | {"batch_factor": -1}}, "batch_factor: is -1"),
        ({"rounds": dict(CURVE) | {"interval_exponent": 30}}, "at most 20"),
        ({"rounds": dict(CURVE) | {"parameter_share": [1.0, 0.5]}}, "must rise from cut to cut"),
        ({"rounds": {"table": np.zeros((2, 2, 1))}}, r"rounds.table\[0\]\[0\]\[0\]: is 0"),
        ({"rounds": {"table": np.ones((2, 2, 2))}}, "is 2 x 2 x 2, it must be 2 x 2 x 1"),
        ({"cuts": "own"}, "cuts"),
        ({"largest_batch": [[1, 2.5], [1, 1]]}, r"largest_batch\[0\]\[1\]: is 2.5"),
        ({"server_s": [1.0]}, "server_s"),
        ({"convergence_bound": {"target": 1.0}}, "the field 'learning_rate' is missing"),
    ],
)
def test_bad_input_is_named(fields, words):
    with pytest.raises(InputError, match=words):
        changed(two_devices(), **fields)


def test_rounds_that_fall_with_the_cut_are_refused_where_devices_cut_apart():
    table = {"table": [[[20.0], [10.0]], [[20.0], [10.0]]]}
    assert solve(changed(two_devices(), rounds=table)).is_feasible
    with pytest.raises(InputError, match="falls from cut 1 to 2 at batch size 1"):
        changed(two_devices(), rounds=table, cuts="per_device")


def test_decisions_that_are_not_offered_are_named():
    problem = changed(two_devices(), largest_batch=[[4, 1], [1, 1]])
    assert problem.violations(problem.complete([1, 2], [4, 1], 1)) == {"cuts_differ": 1.0}
    assert problem.violations(problem.complete(2, 4, 1)) == {"batch_above_memory": 3.0}
    strange = problem.violations(problem.complete(1, [2, 1], 3))
    assert strange == {"batch_not_offered": 1.0, "interval_not_offered": 1.0}
    with pytest.raises(InputError, match=r"decision.cut\[0\]: is 3, it must be from 1 to 2"):
        problem.complete(3, 1, 1)
    with pytest.raises(InputError, match="aggregation_interval: is 0, it must be at least 1"):
        problem.complete(1, 1, 0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"largest_batch": [[4, 4], [0, 0]]}, "device 1 can take no cut with a batch of 1"),
        ({"largest_batch": [[4, 0], [0, 4]]}, "no cut is one that all 2 devices can take"),
        (
            {"rounds": {"table": np.ones((2, 2, 1)), "reached": np.zeros((2, 2, 1), dtype=bool)}},
            "reaches the target with every device; offer others, or lower the target",
        ),
    ],
)
def test_what_has_no_plan_says_why(fields, words):
    found = solve(changed(two_devices(), **fields))
    assert found.outcome == "infeasible"
    assert words in found.message
