"""The latency model over a relaxed cut: values by hand, gradients by finite differences."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from splitopt import CutAndResources, Scenario, load_profile
from splitopt.latency.precision import double_precision
from splitopt.latency.relaxed import latency_at, values_at
from splitopt.latency.split_federated import RoundSetting, full_resource_seconds, phase_curves
from splitopt.profiles.fitting.regression import fit_profile, with_curves

COSTS = {
    # device work, server work, smashed, gradient, model: columns of known shapes
    "quadratic": np.array([[1.0, 2.0, 3.0], [-1.0, -2.0, 90.0], [0, 0, 0], [0, 0, 0], [2, 1, 0.5]]),
    "reciprocal": np.array([[0, 0], [0, 0], [8.0, 1.0], [4.0, 2.0], [0, 0]]),
}
SETTING = RoundSetting(samples=10.0, epochs=3.0, downlink=100.0, uplink=50.0)
SPEEDS = (2.0, 5.0)
"""FLOP/s of the device and of the whole server."""


def seconds_at(setting, speeds, cut, xp=np):
    """Four phases from the values of the curves at a relaxed cut."""
    values = values_at(COSTS, cut, xp)
    work, served, smashed, gradient, model = (values[..., k] for k in range(5))
    own, shared = work / speeds[0], served / speeds[1]
    phases = full_resource_seconds(model, smashed, gradient, own, shared, setting)
    return xp.stack(phases, axis=-1)


def finite_difference(function, point, width=1e-6):
    return (function(point + width) - function(point - width)) / (2 * width)


def phases_of(problem):
    names = ("download_s", "upload_s", "server_s", "device_s")
    return {"table": np.stack([getattr(problem, name) for name in names], axis=1)}


def test_equations_at_a_relaxed_cut_by_hand():
    """At cut 2.5 each of the four phases is what Eq. 2 to 11 give for these curves."""
    x = 2.5
    work, served = x**2 + 2 * x + 3, -(x**2) - 2 * x + 90
    up, down, model = 8 / x + 1, 4 / x + 2, 2 * x**2 + x + 0.5
    expected = [
        8 * (model + 30 * down) / 100,
        8 * (model + 30 * up) / 50,
        30 * served / 5,
        30 * work / 2,
    ]
    assert seconds_at(SETTING, SPEEDS, x) == pytest.approx(expected, rel=1e-14)


def test_latency_divides_by_the_shares():
    """Eq. 12: 4/0.5 + 3/0.25 + 2/0.1 + 1 = 41 at the integer cut of a table."""
    table = {"table": np.array([[4.0, 9.0], [3.0, 9.0], [2.0, 9.0], [1.0, 9.0]])}
    assert latency_at(table, 1.0, np.array([0.5, 0.25, 0.1])) == pytest.approx(41.0)


def test_a_table_is_joined_by_lines():
    """Integer cuts give the table's entries, a quarter of the way gives a quarter of the step."""
    table = {"table": np.array([[[10.0, 20.0, 0.0]], [[1.0, 2.0, 3.0]]])}
    for cut in (1, 2, 3):
        found = values_at(table, np.full(2, float(cut)))
        assert found.tolist() == table["table"][:, :, cut - 1].tolist()
    assert values_at(table, np.array([1.25, 2.5]))[:, 0] == pytest.approx([12.5, 2.5])
    assert values_at({"table": np.array([[7.0]])}, 1.0).tolist() == [7.0]


def test_the_relaxed_table_agrees_with_the_problem(random_problem):
    """At integer cuts the relaxed latencies are those of `CutAndResources.latencies`."""
    problem = random_problem(3, devices=5, layers=6)
    decision = problem.complete([1, 6, 3, 4, 2])
    shares = np.stack(
        (decision.download_share, decision.upload_share, decision.server_share), axis=1
    )
    shares = np.maximum(shares, 1e-300)  # a device at the last cut needs no share of the server
    found = latency_at(phases_of(problem), decision.cut.astype(float), shares)
    assert found == pytest.approx(problem.latencies(decision), rel=1e-12)


@pytest.mark.parametrize("cut", [1.3, 4.75, 8.2, 9.99])
def test_gradients_of_curves_match_finite_differences(cut):
    """JAX's derivative by the cut is that of central differences, to 1e-7, on published curves."""
    problem = CutAndResources.from_scenario(Scenario.load("dp-mora-resnet18"))
    shares = np.array([0.1, 0.2, 0.05])
    one = {family: rows[4] for family, rows in problem.curves.items()}
    with double_precision():
        slope = float(jax.grad(lambda x: latency_at(one, x, shares, jnp))(cut))
    expected = finite_difference(lambda x: latency_at(one, x, shares), cut)
    assert slope == pytest.approx(expected, rel=1e-7)


@pytest.mark.slow
def test_gradients_of_shares_and_tables_match_finite_differences(random_problem):
    """The same holds for the derivatives by cut and shares of a table, all devices at once."""
    problem = random_problem(1, devices=4, layers=5)
    columns, cuts = phases_of(problem), np.array([1.2, 2.9, 3.5, 4.4])
    shares = np.random.default_rng(0).uniform(0.1, 0.9, (4, 3))
    with double_precision():
        both = jax.jit(jax.grad(lambda x, s: latency_at(columns, x, s, jnp).sum(), argnums=(0, 1)))
        by_cut, by_share = both(cuts, shares)
    for n in range(4):

        def moved(x, at=n):
            return latency_at(columns, np.where(np.arange(4) == at, x, cuts), shares)[at]

        assert float(by_cut[n]) == pytest.approx(finite_difference(moved, cuts[n]), rel=1e-6)
        for r in range(3):

            def shifted(x, at=n, resource=r):
                changed = shares.copy()
                changed[at, resource] = x
                return latency_at(columns, cuts, changed)[at]

            expected = finite_difference(shifted, shares[n, r])
            assert float(by_share[n, r]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_gradients_by_the_setting_match_finite_differences():
    """The chain from samples, rates and speeds to seconds can be differentiated as well."""
    point = np.array([*SETTING, *SPEEDS])

    def seconds(at, xp=np):
        return seconds_at(RoundSetting(*at[:4]), at[4:], 2.5, xp)

    with double_precision():
        slopes = np.asarray(jax.jacobian(lambda at: seconds(at, jnp))(jnp.asarray(point)))
    for place in range(6):

        def moved(value, place=place):
            changed = point.copy()
            changed[place] = value
            return seconds(changed)

        expected = finite_difference(moved, point[place], 1e-4)
        assert slopes[:, place] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_jit_and_vmap_agree_with_numpy():
    """Compiled and mapped over devices, the numbers are those of plain numpy."""
    problem = CutAndResources.from_scenario(Scenario.load("dp-mora-resnet18"))
    cuts, shares = np.linspace(1, 10, 10), np.full((10, 3), 0.1)
    with double_precision():
        mapped = jax.jit(jax.vmap(lambda c, x, s: latency_at(c, x, s, jnp)))
        found = np.asarray(mapped(dict(problem.curves), cuts, shares))
    assert found.dtype == np.float64
    assert found == pytest.approx(latency_at(problem.curves, cuts, shares), rel=1e-13)


def test_clipping_is_by_family_and_only_when_asked():
    """Sizes of the model and of what crosses are clipped each by itself, as DP-MORA's are."""
    columns = {"quadratic": np.array([[0.0, 0.0, -5.0]]), "reciprocal": np.array([[4.0, 0.0]])}
    assert values_at(columns, 2.0).tolist() == [-3.0]
    assert values_at(columns, 2.0, clip=True).tolist() == [2.0]


def test_curves_of_a_scenario_go_through_the_same_equations():
    """The phases' curves at a relaxed cut equal Eq. 2 to 11 on the profile's curves there."""
    scenario = Scenario.load("dp-mora-resnet18")
    profile, cut = scenario.load_model(), 6.4
    curve = {name: float(found(cut)) for name, found in profile.curves.items()}
    found = values_at(phase_curves(scenario, profile), np.full(10, cut))
    for row, device in zip(found, scenario.fleet(), strict=True):
        passes = 5 * device.samples
        down = 8 * (curve["device_model_bytes"] + passes * curve["gradient_bytes"]) / 100e6
        up = 8 * (curve["device_model_bytes"] + passes * curve["smashed_bytes"]) / 200e6
        served = curve["server_forward_flop"] + curve["server_backward_flop"]
        own = curve["device_forward_flop"] + curve["device_backward_flop"]
        expected = [down, up, passes * served / 200e9, passes * own / device.compute]
        assert row == pytest.approx(expected, rel=1e-12)


def test_fitted_curves_reach_the_problem(scenario_document):
    """A counted profile with fitted curves gives a problem with curves near its tables."""
    profile = load_profile("resnet18-imagenet")
    quadratic = {name: ["quadratic"] for name in profile.REQUIRED}
    fitted = with_curves(profile, fit_profile(profile, quadratic))
    problem = CutAndResources.from_scenario(Scenario.from_dict(scenario_document), fitted)
    cuts = np.full(3, 6.0)
    apart = values_at(problem.curves, cuts)[:, 3] / problem.device_s[:, 5] - 1
    assert np.abs(apart).max() < 0.1


@pytest.mark.slow
def test_no_curves_without_speeds_or_columns(scenario_document):
    """Measured machines have no work to fit, and an incomplete set of curves gives none."""
    scenario = Scenario.from_dict(scenario_document)
    assert phase_curves(scenario, load_profile("resnet18-imagenet")) is None
    document = {**scenario_document, "model": "resnet101-cifar"}
    document["devices"] = [{"name": "pi", "machine": "d1", "samples": 100}]
    profile = load_profile("resnet101-cifar")
    linear = {name: ["linear"] for name in profile.REQUIRED}
    fitted = with_curves(profile, fit_profile(profile, linear))
    assert phase_curves(Scenario.from_dict(document), fitted) is None
