"""The curve of rounds: a fit of known constants, runs at the corners, and plans trained with it."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import InfeasibleError, InputError, Scenario  # noqa: E402
from splitopt.cli.entry import run  # noqa: E402
from splitopt.profiles.fitting.rounds_fit import RoundsRun, fit_rounds, predicted  # noqa: E402
from splitopt.training.calibration.bound_constants import _curvature, _gradients  # noqa: E402
from splitopt.training.calibration.corners import Wanted, calibrate, corners  # noqa: E402
from splitopt.training.calibration.given import Setting, plan_at  # noqa: E402
from splitopt.training.calibration.reaching import Course  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from tests.planning.test_time_to_accuracy import CURVE, document  # noqa: E402

pytestmark = pytest.mark.train

POINTS = [(1 / 2, 1, 0.3), (1 / 32, 1, 0.3), (1 / 32, 20, 0.3), (1 / 2, 20, 0.9)]


def runs(first, batch, interval, points=POINTS):
    return [RoundsRun(m, i, s, first * (1 + batch * m) * i ** (interval * s)) for m, i, s in points]


@pytest.mark.parametrize("constants", [(120.0, 4.0, 0.35), (50.0, 0.5, 0.05), (300.0, 0.0, 0.0)])
def test_the_fit_finds_the_constants_of_exact_runs(constants):
    fit = fit_rounds(runs(*constants))
    np.testing.assert_allclose(fit[:3], constants, rtol=1e-4, atol=1e-4)
    assert fit.errors.max() < 1e-4


def test_a_run_that_did_not_get_there_counts_as_at_least_that_long():
    """It changes nothing where the curve promises more, and pulls where it promises less."""
    exact = runs(100.0, 3.0, 0.3)
    more = [*exact, RoundsRun(1 / 8, 20, 0.9, 10.0, reached=False)]
    np.testing.assert_allclose(fit_rounds(more)[:3], (100, 3.0, 0.3), rtol=1e-4)
    late = [*exact, RoundsRun(1 / 8, 20, 0.9, 2000.0, reached=False)]
    fit = fit_rounds(late)
    assert predicted(fit, late)[-1] > predicted((100.0, 3.0, 0.3), late)[-1]


def test_too_few_runs_are_refused():
    censored = [run._replace(reached=False) for run in runs(100.0, 3.0, 0.3)]
    with pytest.raises(InputError, match="0 of 4 runs reached the target"):
        fit_rounds(censored)
    with pytest.raises(InputError, match="one aggregation interval"):
        fit_rounds(runs(9.0, 1.0, 0.0, [(1 / 2, 1, 0.3), (1 / 4, 1, 0.3), (1 / 8, 1, 0.3)]))


def test_rounds_are_read_between_two_tests():
    course = Course((10, 20, 30), (1.0, 0.6, 0.2), falls=True, trained=30)
    assert course.reaching(0.5) == pytest.approx(22.5)
    assert course.reaching(0.1) is None
    rising = Course((5, 10), (0.5, 0.9), falls=False, trained=10)
    assert rising.reaching(0.7) == pytest.approx(7.5)
    assert rising.reaching(0.5) == 5.0


def test_constants_of_the_bound_on_a_quadratic():
    """Curvature and gradients of least squares are known in closed form."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1, bias=False).double()
    inputs = torch.randn(40, 3, dtype=torch.float64)
    targets = torch.randn(40, 1, dtype=torch.float64)
    found = _curvature(model, torch.nn.functional.mse_loss, inputs, targets)
    exact = torch.linalg.eigvalsh(2 * inputs.T @ inputs / 40).max()
    assert found == pytest.approx(float(exact), rel=0.02)
    value, gradients = _gradients(model, torch.nn.functional.mse_loss, inputs, targets)
    left = model(inputs).detach() - targets
    assert value == pytest.approx(float((left**2).mean()))
    torch.testing.assert_close(gradients, 2 * left * inputs)


def job(plan, seed):
    return TrainingJob(plan, data="digits", options=Options(learning_rate=0.5), seed=seed)


WANTED = Wanted(
    "test_loss",
    target=2.25,
    loose_target=2.28,
    batch_size=(8, 32),
    aggregation_interval=(1, 4),
    cuts=(1, 5),
    most_rounds=60,
    evaluate_every=5,
    seeds=(0, 1),
    bound=True,
)


@pytest.fixture(scope="module")
def curve():
    """Calibrate for a moment: the loss has hardly begun to fall."""
    return calibrate(Scenario.load("digits-splitfed"), WANTED, job)


@pytest.mark.slow
def test_calibrating_makes_a_curve_that_scenarios_take(curve):
    """Constants within their ranges, every run noted, and a plan of it trains with its steps."""
    assert len(curve.runs) == 8
    for name in ("rounds", "batch_factor", "interval_exponent"):
        assert curve.ranges[name].low <= getattr(curve, name) <= curve.ranges[name].high
    assert curve.step_rule == {"optimizer": "sgd", "learning_rate": 0.5}
    full = [run["rounds_to_target"] for run in curve.runs if "rounds_to_target" in run]
    assert len(full) == 2
    spent = sum(run["trained"] for run in curve.runs)
    assert curve.reference_runs == pytest.approx(spent / np.mean(full))
    section = {"curve": curve.to_dict(), "batch_size": [8, 16], "aggregation_interval": [1, 4]}
    given = Scenario.load("digits-splitfed").to_dict() | {"time_to_accuracy": section}
    plan = splitopt.plan(Scenario.from_dict(given))
    assert splitopt.plan(Scenario.from_dict(given), solver="hasfl").problem == plan.problem
    found = splitopt.train(plan, rounds=4, data="digits")
    chosen = plan.decision["batch_size"]
    assert [row.samples for row in found.history.rows] == [sum(chosen)] * 4
    options = found.scheme.options
    assert (options.learning_rate, options.local_steps) == (0.5, 1)
    assert options.aggregation_interval == plan.decision["aggregation_interval"]


@pytest.mark.slow
def test_the_bound_is_exact_for_the_run_that_sets_it(curve):
    """By the problem's own formula, at the reference run's batch and an interval of 1."""
    from splitopt.problems.time_to_accuracy.convergence_bound import promised_rounds, read_bound

    constants = read_bound(curve.convergence_bound, 6)
    full = np.mean([run["rounds_to_target"] for run in curve.runs if "rounds_to_target" in run])
    assert promised_rounds(constants, 1 / 32, 1, 1, 4) == pytest.approx(full)


def test_corners_are_the_four_of_the_box():
    assert corners(WANTED, (1, 5)) == (
        Setting(1, 32, 1),
        Setting(1, 8, 1),
        Setting(1, 32, 4),
        Setting(5, 8, 4),
    )


@pytest.mark.slow
def test_what_is_never_reached_is_said():
    wanted = Wanted("test_loss", 0.01, most_rounds=2, evaluate_every=2, cuts=(1, 2))
    with pytest.raises(InfeasibleError, match=r"0.01 was not reached at .*: lower the target"):
        calibrate(Scenario.load("digits-splitfed"), wanted, job)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"batch_size": (0, 8)}, r"batch_size\[0\]"),
        ({"batch_size": (8, 8)}, "its effect needs two values"),
        ({"aggregation_interval": (2, 8)}, "begin at 1"),
        ({"seeds": (0, 0)}, "give different ones"),
        ({"most_rounds": 0}, "most_rounds"),
    ],
)
def test_bad_wishes_are_refused(fields, words):
    with pytest.raises(InputError, match=words):
        Wanted("test_loss", 0.5, **fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cuts": (1, 6)}, "has 6; those that all devices can take are 1, 2, 3, 4, 5"),
        ({"batch_size": (8, 900)}, "is up to 900, and fast-1 has 320 samples"),
        ({"metric": "recall"}, "the tests have test_loss, accuracy"),
        ({"loose_target": 0.1}, "harder to reach than the target"),
    ],
)
def test_wishes_that_do_not_fit_are_refused(fields, words):
    given = {"metric": "test_loss", "target": 2.29, "most_rounds": 10, "evaluate_every": 5}
    with pytest.raises(InputError, match=words):
        calibrate(Scenario.load("digits-splitfed"), Wanted(**given | fields), job)


def test_a_plan_is_trained_by_the_step_rule_of_its_curve():
    """Another learning rate or an interval of one's own is refused by name."""
    plan = splitopt.plan(Scenario.from_dict(document()))
    for options, words in (
        ({"learning_rate": 0.2}, "learning_rate: is 0.2, and the plan's curve .* with 0.1"),
        ({"aggregation_interval": 3}, "aggregation_interval: is 3, the plan says"),
        ({"client_fraction": 0.5}, "rounds were measured with all clients"),
    ):
        with pytest.raises(InputError, match=words):
            splitopt.train(plan, rounds=1, data="digits", options=Options(**options))
    odd = document(curve=CURVE | {"step_rule": {"rate": 1.0}})
    with pytest.raises(InputError, match="has the unknown option 'rate'"):
        splitopt.train(splitopt.plan(Scenario.from_dict(odd)), rounds=1, data="digits")


def test_a_setting_that_no_device_can_take_has_no_run():
    with pytest.raises(InfeasibleError, match="no run at batch 400, cut 1, interval 1"):
        plan_at(Scenario.load("digits-splitfed"), Setting(1, 400))


@pytest.mark.slow
def test_the_command_writes_a_curve(tmp_path, capsys):
    out = tmp_path / "curve.json"
    words = ["calibrate", "digits-splitfed", "--target", "2.29", "--batch-size", "8,32"]
    words += ["--interval", "1,4", "--cuts", "1,5", "--lr", "0.5", "--evaluate-every", "5"]
    assert run([*words, "--most-rounds", "60", "-o", str(out)]) == 0
    assert "Ranges: unknown with one seed" in capsys.readouterr().out
    assert json.loads(out.read_text())["step_rule"]["learning_rate"] == 0.5
    assert run(["calibrate", "digits-splitfed"]) == 2
    assert "--target: is missing" in capsys.readouterr().err
    assert run([*words, "--cuts", "1"]) == 2
