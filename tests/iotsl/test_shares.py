"""Who has which samples, what devices tell of them, and how much they are given."""

from __future__ import annotations

import math

import numpy as np
import pytest

from splitopt.errors import InfeasibleError, InputError
from tests.iotsl.conftest import scenario

pytestmark = pytest.mark.train


def shares(**section: object) -> list[list[int]]:
    from splitopt.iotsl.shares import histogram, shares_of
    from splitopt.training.data import load_data

    data = load_data("digits")
    rows = shares_of(scenario(**section), data, None, "plan", 0)
    assert len(set(np.concatenate(rows).tolist())) == sum(map(len, rows))
    return [histogram(data.train_targets[own], 10).tolist() for own in rows]


def test_classes_are_equal_parts_and_counts_are_as_stated() -> None:
    assert shares(classes={"a": [1, 0], "b": [9], "c": [2, 3, 4]}) == [
        [30, 30, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 40],
        [0, 0, 17, 17, 16, 0, 0, 0, 0, 0],
    ]
    counts = {"a": [5, 0], "b": [1, 7], "c": [0, 2]}
    assert shares(classes=None, counts=counts, labels=[8, 3]) == [
        [0, 0, 0, 0, 0, 0, 0, 0, 5, 0],
        [0, 0, 0, 7, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 2, 0, 0, 0, 0, 0, 0],
    ]


def test_what_the_data_does_not_have_is_named() -> None:
    with pytest.raises(InputError, match="class 4, and the clients are to have 500: b finds"):
        shares(classes=None, counts={"a": [1], "b": [498], "c": [1]}, labels=[4])
    with pytest.raises(InputError, match="the label 'cat' is no class of the data"):
        shares(classes={"a": ["cat"], "b": [0], "c": [1]})
    with pytest.raises(InputError, match="the label 10 is no class of the data, which has 0 to 9"):
        shares(classes={"a": [10], "b": [0], "c": [1]})


def test_noise_on_counts_is_that_of_the_geometric_mechanism() -> None:
    from splitopt.iotsl.histograms import noised

    epsilon, counts = 0.7, np.full(200_000, 10**6, dtype=np.int64)
    noise = noised(counts, epsilon, 1) - counts
    ratio = math.exp(-epsilon)
    for k in range(-3, 4):  # P(k) = (1 - r) / (1 + r) r^|k|
        expected = (1 - ratio) / (1 + ratio) * ratio ** abs(k)
        assert (noise == k).mean() == pytest.approx(expected, abs=5 * math.sqrt(expected / 2e5))
    assert (noised(np.zeros(1000, dtype=np.int64), 0.1, 2) >= 0).all()
    assert noised(counts, None, 1) is counts


@pytest.mark.parametrize("epsilon", [0, -1.0, math.nan, math.inf, "1", True])
def test_an_epsilon_that_is_none(epsilon: object) -> None:
    from splitopt.iotsl.histograms import check_epsilon

    with pytest.raises(InputError, match=r"histogram_epsilon: is .*, it must be above 0"):
        check_epsilon(epsilon)  # type: ignore[arg-type]


def test_a_generator_tells_which_classes_there_are() -> None:
    from splitopt.iotsl.histograms import imputed_amount, known

    told = np.array([0, 7, 3, 0])
    assert known(told, (0, 1), of_all=True).tolist() == [1, 7, 0, 0]
    assert known(told, (0, 1), of_all=False).tolist() == [1, 7, 3, 0]
    assert known(told, None, of_all=True).tolist() == told.tolist()
    assert imputed_amount(told) == 5
    assert imputed_amount(np.zeros(3, dtype=np.int64)) == 0


def test_orders_share_a_class_among_its_sources() -> None:
    from splitopt.iotsl.steps import Setting, orders_of
    from splitopt.planning.planner import plan

    own = scenario(
        classes=None,
        labels=[0, 1],
        counts={"a": [9, 0], "b": [0, 4], "c": [3, 6]},
        sources=1,
        redundant=True,
    )
    found = plan(own, problem="generator_pairing")
    setting = Setting.__new__(Setting)
    from splitopt.iotsl import IotslJob

    object.__setattr__(setting, "job", IotslJob(own))
    counts = np.array([[9, 0], [0, 4], [3, 6]])
    orders = orders_of(setting, found, counts)
    assert [(one.sender, dict(one.amounts)) for one in orders[0]] == [("b", {1: 5}), ("c", {1: 4})]
    assert [(one.sender, dict(one.amounts)) for one in orders[1]] == [("a", {0: 2}), ("c", {0: 2})]
    assert orders[2] == []


def test_who_is_to_tell_nothing_without_noise_tells_no_quality() -> None:
    from splitopt.generators import GeneratorOptions, Sanitizing
    from splitopt.iotsl import IotslJob
    from splitopt.iotsl.device import Learning

    plain, private = GeneratorOptions(), GeneratorOptions(sanitize=Sanitizing())
    assert [
        Learning(10, options, epsilon, 0).judges
        for options, epsilon in ((plain, None), (plain, 1.0), (private, None))
    ] == [True, False, False]
    for given in ({"generators": private}, {"histogram_epsilon": 1.0}):
        with pytest.raises(InputError, match="'least_quality' and 'quality_weight' need qualities"):
            IotslJob(scenario(least_quality=0.5, quality=dict.fromkeys("abc", 1.0)), **given)


def test_a_device_that_tells_of_nothing() -> None:
    from splitopt.iotsl.fleet import as_found

    counts = np.eye(3, 10, dtype=np.int64)
    counts[2] = 0
    with pytest.raises(InfeasibleError, match="c tells of no sample of any wanted class"):
        as_found(scenario(), counts, np.ones((3, 10)), 100)
