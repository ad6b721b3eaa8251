"""Fitted profiles: families recognised, errors told, derivatives, and use in place of a table."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import CutAndResources, ModelProfile, Scenario, load_problem, load_profile, solve
from splitopt.errors import InputError
from splitopt.latency.precision import double_precision
from splitopt.latency.relaxed import latency_at, values_at
from splitopt.profiles import Curve, fit
from splitopt.profiles.fitting.regression import fit_curve
from splitopt.profiles.table.curves import curve_value, power_family

ALL = ("linear", "quadratic", "reciprocal", "logarithmic", "power", "piecewise", "isotonic")


@pytest.fixture(scope="module")
def fitted():
    return fit(load_profile("resnet18-imagenet"))


@pytest.mark.parametrize(
    ("family", "law"),
    [
        ("power:-0.5", lambda x: 7.0 / np.sqrt(x) + 2.0),
        ("power:1.7", lambda x: 3.0 * x**1.7 + 5.0),
        (
            "piecewise",
            lambda x: 3.0 + 2.0 * x + 4.0 * np.maximum(x - 4, 0) - 6 * np.maximum(x - 8, 0),
        ),
    ],
)
def test_laws_are_recognised(family, law):
    """Numbers that follow a power or bend at two cuts are fitted by that, with no error left."""
    cuts = np.arange(1, 13)
    # An isotonic curve goes through any rising column: it would win on the bends.
    found = fit_curve(np.abs(law(cuts)), families=ALL[:-1])
    kind, _, exponent = found.curve.family.partition(":")
    wanted, _, power = family.partition(":")
    assert kind == wanted
    if power:
        assert float(exponent) == pytest.approx(float(power), abs=1e-9)
    assert found.rmse == pytest.approx(0.0, abs=1e-9)
    assert found.curve(5.0) == pytest.approx(abs(law(5.0)), abs=1e-8)


def test_isotonic_is_the_best_monotone_fit():
    """Pooling neighbours by hand: 1, 3, 2, 2, 5 rises best as 1, 7/3, 7/3, 7/3, 5."""
    found = fit_curve([1.0, 3.0, 2.0, 2.0, 5.0], families=["isotonic"])
    assert found.curve.coefficients == pytest.approx((1, 7 / 3, 7 / 3, 7 / 3, 5))
    falling = fit_curve([5.0, 2.0, 2.0, 3.0, 1.0], families=["isotonic"])
    assert falling.curve.coefficients == pytest.approx((5, 7 / 3, 7 / 3, 7 / 3, 1))


def test_the_power_is_that_of_a_nonlinear_least_squares():
    """SciPy's general curve fit ends at the same exponent and error on real sizes."""
    from scipy.optimize import curve_fit

    profile = load_profile("resnet101-cifar")
    y, x = profile.device_model_bytes / 1e6, np.arange(1.0, 38)
    found = fit_curve(y, families=["power"])
    theirs, _ = curve_fit(lambda x, a, p, b: a * x**p + b, x, y, p0=(0.1, 2.0, 0.0))
    assert float(found.curve.family.partition(":")[2]) == pytest.approx(theirs[1], abs=0.01)
    error = np.sqrt(np.mean((theirs[0] * x ** theirs[1] + theirs[2] - y) ** 2))
    assert found.rmse == pytest.approx(error, rel=1e-3)


@pytest.mark.slow
def test_what_a_fit_gets_wrong_is_told(fitted):
    """Negative values and steps against a monotone column are named by their cuts."""
    report = fitted.report()
    assert "server_forward_flop: quadratic" in report
    assert "below zero at cut 10" in report
    table = load_profile("resnet18-imagenet")
    poor = fit(table, families=["quadratic"])
    assert poor.fits["device_model_bytes"].negative_cuts == (2, 3, 4)
    assert poor.fits["device_model_bytes"].against_cuts == (2, 3)
    assert "against the column's direction at cut 2, 3" in poor.report()
    note = poor.profile.provenance.notes[-1]
    assert "device_model_bytes at cut 2, 3, 4" in note


@pytest.mark.slow
def test_the_table_stays_unless_it_is_to_be_replaced(fitted):
    """By default only curves are added; replaced, the table is the clipped curves."""
    table = load_profile("resnet18-imagenet")
    for column in ModelProfile.REQUIRED:
        assert getattr(fitted.profile, column).tolist() == getattr(table, column).tolist()
    poor = fit(table, families=["quadratic"], replace_table=True).profile
    cuts = np.arange(1, 10)
    for column, curve in poor.curves.items():
        assert getattr(poor, column)[:-1].tolist() == np.maximum(curve(cuts), 0).tolist()
        assert getattr(poor, column)[-1] == getattr(table, column)[-1]
    assert ModelProfile.from_dict(poor.to_dict(), "again") == poor


@pytest.mark.slow
@pytest.mark.parametrize("families", [None, ["piecewise"], ["power"]])
def test_fitted_curves_go_wherever_curves_go(tmp_path, scenario_document, families):
    """Scenario, problem, instance file, relaxed latency, JAX and a solver take them."""
    import jax
    import jax.numpy as jnp

    scenario = Scenario.from_dict(scenario_document)
    made = fit(load_profile("resnet18-imagenet"), families)
    made.profile.save(tmp_path / "fitted.json")
    profile = ModelProfile.load(tmp_path / "fitted.json")
    problem = CutAndResources.from_scenario(scenario, profile)
    cut, device = 3.4, scenario.fleet()[0]
    column = {name: float(curve(cut)) for name, curve in profile.curves.items()}
    work = column["device_forward_flop"] + column["device_backward_flop"]
    expected = 5 * device.samples * work / device.compute
    assert values_at(problem.curves, np.full(3, cut))[0, 3] == pytest.approx(expected, rel=1e-12)
    for name in ("instance.json", "instance.npz"):
        problem.save(tmp_path / name)
        assert load_problem(tmp_path / name).curves.keys() == problem.curves.keys()

    one = {family: rows[1] for family, rows in problem.curves.items()}
    shares = np.array([0.3, 0.2, 0.4])
    with double_precision():
        slope = float(jax.jit(jax.grad(lambda x: latency_at(one, x, shares, jnp)))(cut))
    steps = (latency_at(one, cut + s, shares) for s in (1e-6, -1e-6))
    expected = (next(steps) - next(steps)) / 2e-6
    assert slope == pytest.approx(expected, rel=1e-6)
    result = solve(problem, "dp_mora", clip=True)
    assert result.is_feasible
    assert problem.to_pyomo("minlp") is not None


@pytest.mark.slow
def test_sums_of_families_are_the_sum_of_the_columns(scenario_document):
    """Powers of different exponents and tables in one phase add up, also with priorities."""
    profile = load_profile("resnet18-imagenet")
    kinds = {
        "smashed_bytes": ["power"],
        "gradient_bytes": ["piecewise"],
        "device_model_bytes": ["power"],
        "device_forward_flop": ["isotonic"],
    }
    made = fit(profile, kinds).profile
    families = {curve.family for curve in made.curves.values()}
    assert len([name for name in families if name.startswith("power:")]) == 2
    scenario_document["devices"][0]["priority"] = 3
    problem = CutAndResources.from_scenario(Scenario.from_dict(scenario_document), made)
    found = values_at(problem.curves, np.full(3, 2.0))
    up = made.curves["device_model_bytes"](2.0) + 15000 * made.curves["smashed_bytes"](2.0)
    assert found[0, 1] == pytest.approx(8 * up / 50e6, rel=1e-12)


@pytest.mark.parametrize("family", [power_family(-0.7), "piecewise", "linear"])
def test_numpy_and_jax_agree_at_any_shape(family):
    """Curves broadcast: a fleet of curves at a cut each, and one curve at many cuts."""
    import jax.numpy as jnp

    rng = np.random.default_rng(2)
    size = 6 if family == "piecewise" else 2
    many, cuts = rng.uniform(1, 2, (4, 3, size)), np.array([1.0, 2.25, 5.5, 6.0])
    with double_precision():
        theirs = np.asarray(curve_value(family, jnp.asarray(many), cuts[:, None], jnp))
    mine = curve_value(family, many, cuts[:, None])
    assert mine.shape == (4, 3)
    assert theirs == pytest.approx(mine, rel=1e-12)
    single = Curve(family, tuple(many[2, 1]))
    assert single(cuts)[2] == pytest.approx(mine[2, 1])
    assert single(5.5) == pytest.approx(mine[2, 1])


@pytest.mark.parametrize("family", ["power", "power:", "power:0", "power:nan", "power:one"])
def test_powers_without_an_exponent_are_refused(family):
    """The exponent is part of the family's name."""
    with pytest.raises(InputError, match="name the exponent"):
        Curve(family, (1.0, 2.0))


def test_a_tabulated_curve_has_a_value_for_each_layer():
    """Another number of values does not fit the profile."""
    profile = load_profile("resnet18-imagenet")
    with pytest.raises(InputError, match="has 3 values, but there are 10 layers"):
        ModelProfile.from_dict(
            {
                **profile.to_dict(),
                "curves": {
                    "smashed_bytes": {"family": "isotonic", "coefficients": [1.0, 2.0, 3.0]}
                },
            },
            "profile",
        )
