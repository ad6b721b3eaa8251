"""Numbers at the ends of what a float holds: answered, or refused by their names."""

import warnings

import numpy as np
import pytest

from splitopt import (
    ClusterAndSpectrum,
    CommonCut,
    CutAndResources,
    CutUnderUncertainty,
    InputError,
    PipelinePartition,
    Scenario,
    plan,
    solve,
)

SIZES = (1e308, 1e300, 1e299, 1e154, 1e-154, 1e-300, 5e-324, 0.0)
SPREADS = ([1e-300, 1.0, 1e300], [5e-324, 0.0, 1.0], [1e-75, 1.0, 1e75], [1e155, 1e298])


def cut_and_resources(draw, objective="sum"):
    return CutAndResources(*(draw((4, 5)) for _ in range(4)), objective=objective)


def makespan(draw):
    return cut_and_resources(draw, "makespan")


def cluster_and_spectrum(draw):
    return ClusterAndSpectrum(*(draw(6) for _ in range(6)), 1.0, 2, 6, [3, 3])


def pipeline_partition(draw):
    times = draw((3, 7)), draw((3, 7))
    return PipelinePartition(*times, np.ones(7), [9.0] * 3, 1, objective="epoch", batches=9)


def cut_under_uncertainty(draw):
    def one():
        return ClusterAndSpectrum(*(draw(4) for _ in range(6)), 1.0, 2, 6, [2, 2])

    return CutUnderUncertainty.from_scenarios(["a", "b"], [[one(), one()] for _ in range(2)])


def common_cut(draw, objective="splitfed_v1"):
    counts = {"samples": [4] * 4, "batch_size": [2] * 4, "epochs": 1}
    return CommonCut(*(draw((4, 5)) for _ in range(7)), **counts, objective=objective)


def in_turn(draw):
    return common_cut(draw, "splitfed_v2")


BUILDERS = (
    cut_and_resources,
    makespan,
    cluster_and_spectrum,
    pipeline_partition,
    cut_under_uncertainty,
    common_cut,
    in_turn,
)


FLEETS = (cut_and_resources, makespan, common_cut, in_turn)
SUMMED = (common_cut, in_turn)


def too_small(numbers):
    """Whether devices that share would have to be compared by numbers that have no ratio."""
    least = min((x for x in numbers if x), default=1.0)
    return least < 1e-305 or least < max(numbers) / 1e150


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("numbers", [[size] for size in SIZES] + list(SPREADS), ids=str)
def test_every_size_is_answered_or_refused_by_name_and_without_a_warning(build, numbers):
    rng, is_fleet = np.random.default_rng(1), build in FLEETS
    given = numbers
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        factor = 2 if build in SUMMED else 1  # tasks of one resource are added
        numbers = [*numbers, factor * max(numbers)]
        if max(numbers) > 1e300 or (is_fleet and too_small(numbers)):
            with pytest.raises(
                InputError, match=r"_s\[\d+\].*: is .*, (it must be|and the largest)"
            ):
                build(lambda shape: rng.choice(given, shape))
            return
        problem = build(lambda shape: rng.choice(given, shape))
        found = solve(problem, time_limit_s=3)
    assert found.outcome in ("optimal", "feasible"), found.message
    assert problem.violations(found.decision) == {}
    assert found.bound <= found.objective * (1 + 1e-9) < np.inf


def test_a_large_fleet_of_factors_has_the_same_limits():
    one = {f"{part}_scales": [[1.0, 1.0]] for part in ("download", "upload", "server", "device")}
    one |= {f"{part}_shapes": [[1.0, 2.0]] for part in ("download", "upload", "server", "device")}
    assert CutAndResources.from_factors(one).devices == 2
    with pytest.raises(InputError, match="shortest and the longest device_s"):
        CutAndResources.from_factors(one | {"device_shapes": [[1e-200, 1.0]]})
    with pytest.raises(InputError, match="must be at most"):
        CutAndResources.from_factors(one | {"device_shapes": [[1e301, 1.0]]})
    with pytest.raises(InputError, match="add up to more than 1e\\+306"):
        CutAndResources.from_factors(
            {name: [[1e147, 1e147]] if "scales" in name else [[1e152, 1e152]] for name in one}
            | {"count": [10**4, 10**4]}
        )


@pytest.mark.parametrize("value", [1e300, 1e101, 1e-101, 5e-324])
@pytest.mark.parametrize("field", ["priority", "device_w", "seconds_per_joule"])
def test_prices_and_priorities_have_a_range(field, value):
    table, four = np.ones((2, 3)), [1.0, 1.0]
    fields = {"device_w": four, "radio_w": four, "seconds_per_joule": 1.0, "priority": four}
    fields[field] = value if field == "seconds_per_joule" else [1.0, value]
    with pytest.raises(InputError, match=rf"{field}.*must be 0 or from 1e-100 to 1e\+100"):
        CutAndResources(table, table, table, table, objective="latency_energy", **fields)


def test_what_a_price_takes_out_of_range_is_said_so():
    table = np.full((2, 3), 1e250)
    problem = CutAndResources(table, table, table, table, priority=[1e90, 1e90])
    with pytest.raises(InputError, match=r"times its priority, power and price, download_s\[0\]"):
        solve(problem)


@pytest.mark.parametrize("value", [10**6 + 1, 10**9, 2**53 + 2, 2**63, 10**400, 1e300])
def test_subcarriers_have_a_largest_number(value):
    one = np.ones(4)
    with pytest.raises(InputError, match=r"subcarriers: is .*, it must be"):
        ClusterAndSpectrum(one, one, one, one, one, one, 1.0, 1, value, [2, 2])


@pytest.mark.parametrize("epochs", [10**9, 2**53])
def test_any_number_of_local_epochs_counts(epochs):
    one = np.ones(4)
    problem = ClusterAndSpectrum(one, one, one, one, one, one, 0.0, epochs, 4, [2, 2])
    assert solve(problem).objective == pytest.approx(2 * 3.0 * epochs, rel=1e-6)
    with pytest.raises(InputError, match="add up to more than"):
        ClusterAndSpectrum(*[1e299 * one] * 6, 0.0, epochs, 4, [2, 2])


@pytest.mark.parametrize("batches", [2**53 + 2, 2**63, 10**400, 1.5, float("inf"), float("nan")])
def test_batches_are_a_whole_number_that_a_float_holds(batches):
    table = np.ones((2, 3))
    with pytest.raises(InputError, match=r"batches: is .* must be a whole number >= 1"):
        PipelinePartition(table, table, [1.0] * 3, [9.0] * 2, 1, objective="epoch", batches=batches)


@pytest.mark.parametrize("speed", ["1e-300 FLOP/s", "1e300 FLOP/s"])
def test_a_speed_beyond_all_machines_is_refused_with_the_device(speed):
    document = Scenario.load("dp-mora-resnet18").to_dict()
    document["devices"][0] |= {"name": "device", "count": 2, "compute": speed}
    with pytest.raises(InputError, match=r"devices\[0\] \(device\).compute: .* no sensible"):
        Scenario.from_dict(document)


@pytest.mark.parametrize("speed", ["1e-30 FLOP/s", "1e30 FLOP/s"])
def test_the_slowest_and_the_fastest_speed_are_planned_without_a_warning(speed):
    document = Scenario.load("dp-mora-resnet18").to_dict()
    document["devices"][0] |= {"name": "device", "count": 2, "compute": speed}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = plan(Scenario.from_dict(document))
    assert made.result["outcome"] == "optimal"
