"""Reports of a round that lack something: the last value stays."""

import numpy as np
import pytest

from splitopt import InputError, Scenario
from splitopt.planning.control.measured import completed
from splitopt.planning.controller import Controller

SCENARIO = Scenario.load("examples/cpsl-varying.yaml")


@pytest.fixture(scope="module")
def controller():
    from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty

    names = CutUnderUncertainty.from_scenario(SCENARIO).cuts
    return Controller.start(SCENARIO, cut=names[0], swaps=50)


def known(controller, reported, last=None):
    return completed(reported, last or {}, controller.problem.source, controller.devices)


def test_what_a_report_lacks_keeps_its_last_value(controller):
    devices, size = controller.devices, len(controller.devices)
    full = known(controller, {"compute": np.full(size, 3e9), "snr_db": np.full(size, 7.0)})
    partial = known(controller, {"compute": {devices[2]: 5e9, devices[0]: None}}, full)
    assert partial["compute"].tolist() == [3e9, 3e9, 5e9, *[3e9] * (size - 3)]
    assert partial["snr_db"].tolist() == [7.0] * size
    holes = np.full(size, np.nan)
    holes[1] = -2.5
    after = known(controller, {"snr_db": holes}, partial)
    assert after["snr_db"].tolist() == [7.0, -2.5, *[7.0] * (size - 2)]
    assert known(controller, {}, after) == after


def test_before_any_report_the_mean_stands(controller):
    source, name = controller.problem.source, controller.devices[1]
    found = known(controller, {"compute": {name: 1e9}})["compute"]
    wanted = np.array(np.broadcast_to(source.nominal_compute, found.shape))
    wanted[1] = 1e9
    assert found.tolist() == wanted.tolist()


def test_a_plan_of_a_part_is_the_plan_of_the_whole_that_it_stands_for(controller):
    size, devices = len(controller.devices), controller.devices
    first = {"compute": np.full(size, 2e9), "snr_db": np.linspace(5, 20, size)}
    whole = {**first, "compute": np.where(np.arange(size) == 3, 9e9, 2e9)}
    one, other = (Controller(controller.problem, 0, 50, devices=devices) for _ in range(2))
    one.replan(first), other.replan(first)
    assert one.replan(whole).to_dict() == other.replan({"compute": {devices[3]: 9e9}}).to_dict()


@pytest.mark.parametrize(
    ("reported", "message"),
    [
        ({"computes": [1.0]}, "known are compute, snr_db; did you mean 'compute'"),
        ({"compute": [1e9]}, "is 1, it must have one number for"),
        ({"compute": 1e9}, "is a single value"),
        ({"compute": {"devise-1": 1e9}}, r"has the device 'devise-1', .*; did you mean 'device-1'"),
        ({"compute": {7: 1e9}}, "has the device 7"),
        ([1.0, 2.0], "must map compute and snr_db"),
        (None, "must map compute and snr_db"),
    ],
)
def test_what_a_report_should_not_hold_is_named(controller, reported, message):
    named = Controller(controller.problem, 0, devices=("device-1", *controller.devices[1:]))
    with pytest.raises(InputError, match=message):
        named.replan(reported)


@pytest.mark.parametrize("odd", [0.0, -1e9, float("inf"), "fast", True])
def test_a_speed_that_cannot_be_is_named_by_its_device(controller, odd):
    name = controller.devices[0]
    with pytest.raises(InputError, match=rf"measured.compute\[{name}\]: is"):
        controller.replan({"compute": {name: odd}})


def test_a_controller_is_made_of_what_it_says(controller):
    with pytest.raises(InputError, match=r"problem: is .* must be a CutUnderUncertainty"):
        Controller(SCENARIO, 0)
    for cut in (-1, 99, 0.5, "a"):
        with pytest.raises(InputError, match="cut: is"):
            Controller(controller.problem, cut)
    with pytest.raises(InputError, match=r"cut: is 'pool99', known are .*"):
        Controller.start(SCENARIO, cut="pool99")
