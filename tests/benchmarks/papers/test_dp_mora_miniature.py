"""DP-MORA's Figures 3 to 5, small: the fleet is the paper's, and the tables are what they say."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.papers.dp_mora.miniature")


@pytest.mark.parametrize("network", ["cnn-digits", "cnn-fashion-mnist"])
def test_a_fleet_that_is_slowed_down_computes_as_long_as_with_resnet(small, network):
    """Whoever trains everything itself takes what it took, but for the transfers of the model."""
    from splitopt import CutAndResources

    here = CutAndResources.from_scenario(small.scenario_for(network, 0.1))
    there = CutAndResources.from_scenario(small.scenario_at("resnet18"))
    assert here.device_s[:, -1] == pytest.approx(there.device_s[:, -1], rel=0.01)


def test_the_first_cut_allowed_is_that_of_the_committed_measurement(small):
    """The limit of the paper allows nothing but training on the devices."""
    for network, first in (("cnn-digits", {0.5: 6, 0.65: 4, 0.805: 3, 0.87: 2, 1.0: 1}),):
        leakage = small.load_profile(network).leakage
        assert {limit: small.least_allowed(leakage, limit) for limit in first} == first


def test_a_committed_row_is_current(small):
    rounds = small.rounds_at("cnn-digits", 0.5)
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (small.RESULTS / "figure-5-measured.md").read_text().splitlines()
        if line.startswith("|")
    ]
    (row,) = [row for row in rows if row[0].startswith("cnn-digits, 0.1 to")]
    for name, cell in zip(head[2:], row[2:], strict=True):
        assert cell == f"{rounds[name] / 1000:.2f}", name


def test_rounds_until_an_accuracy_by_hand(small):
    curves = [np.array(values) for values in ([0.5, 0.8, 0.7], [0.1, 0.2, 0.9], [0.85, 0.8, 0.8])]
    assert small.rounds_until(curves, 0.8) == 2
    assert small.rounds_until(curves, 0.9) is None
    assert small.rounds_until(curves[1:2], 0.9) == 3


def test_time_is_rounds_by_their_length(small, monkeypatch):
    """Two rounds of 54 s against three of 108 s: three times as long."""
    lengths = {"`dp_mora`": 54e3, "makespan optimum": 27e3, "FAAF": 54e3, "FSAF": 54e3}
    lengths |= {"SF3AF": 54e3, "SF1AF": 108e3, "SF2AF": 108e3}
    monkeypatch.setattr(small, "rounds_at", lambda network, limit: lengths)
    slow, quick = np.array([0.5, 0.85, 0.92, 0.96]), np.array([0.8, 0.9, 0.96])
    table = small.learning_table({"parallel": [quick], "in turn": [slow]}, small.QUICK)
    rows = {row[0]: row for row in table.rows}
    assert rows["SF1AF"][:5] == ["SF1AF", "in turn", 108, 2, 3]
    assert rows["SF1AF"][7] == 3 * 108
    assert rows["SF1AF"][-2:] == [3.0, 9.6]
    assert rows["makespan optimum"][-2:] == [0.5, None]
