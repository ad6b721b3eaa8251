"""Traces of rates: read, generated and replayed, and the command."""

from __future__ import annotations

import json

import numpy as np
import pytest

from splitopt import CutAndResources, InputError, Scenario, solve
from splitopt.cli.entry import run
from splitopt.distributions import Trace, read_trace, write_trace
from splitopt.planning.control.fleet import FleetController
from splitopt.planning.control.rates import (
    COLUMNS,
    DOWNLINK,
    UPLINK,
    generated_rates,
    rounds_of,
)
from splitopt.planning.control.replan import Damping
from splitopt.planning.control.replay import replay_fleet
from splitopt.scenario.varying import COMPUTE

EXAMPLE = "examples/wifi-fleet.yaml"


@pytest.fixture(scope="module")
def scenario():
    """Return the example of a fleet at an access point."""
    return Scenario.load(EXAMPLE)


def test_a_round_is_the_scenario_with_its_rates(scenario):
    """The controller's problem equals that of a scenario that states the measured numbers."""
    names = [device.name for device in scenario.fleet()]
    rng = np.random.default_rng(0)
    values = {
        DOWNLINK: rng.uniform(1e7, 3e8, (1, 8)),
        UPLINK: rng.uniform(1e7, 3e8, (1, 8)),
        COMPUTE: rng.uniform(1e9, 1e11, (1, 8)),
    }
    (factors,) = rounds_of(Trace(tuple(names), values), scenario)
    controller = FleetController.start(scenario)
    replay_fleet(controller, [factors], ["static"])
    document = scenario.to_dict()
    document["devices"] = [
        {
            "name": name,
            "compute": f"{values[COMPUTE][0, n]:.17g} FLOP/s",
            "samples": device.samples,
            "batch_size": 32,
            "downlink": f"{values[DOWNLINK][0, n]:.17g} bit/s",
            "uplink": f"{values[UPLINK][0, n]:.17g} bit/s",
        }
        for n, (name, device) in enumerate(zip(names, scenario.fleet(), strict=True))
    ]
    stated = CutAndResources.from_scenario(Scenario.from_dict(document))
    for table in ("download_s", "upload_s", "server_s", "device_s"):
        assert getattr(controller.problem, table) == pytest.approx(getattr(stated, table))
    assert controller.plan.objective == pytest.approx(solve(stated).objective, rel=2e-3)


def test_nobody_is_better_than_the_clairvoyant(scenario):
    """In every round; and without damping and delay the controller is within its gap of it."""
    rounds = rounds_of(generated_rates(scenario, 8, seed=1), scenario)
    controller = FleetController.start(scenario, damping=Damping(gain=0.0))
    report = replay_fleet(controller, rounds, period=3)
    best = report.latencies("clairvoyant")
    for name in report.policies:
        assert (report.latencies(name) >= best * (1 - 2e-6)).all()
    assert (report.latencies("controller") <= best / (1 - controller.goal) * (1 + 1e-9)).all()
    assert report.latencies("static").mean() > best.mean()
    assert report.largest_gap <= controller.goal
    assert "gap" in report.to_csv().splitlines()[0]
    late = replay_fleet(FleetController.start(scenario), rounds, ["clairvoyant"], delay=1)
    assert late.latencies("controller").mean() > best.mean()


def test_generated_rates_are_the_process_they_state(scenario):
    """Deviation and correlation of many rounds, in dB, and the same seed gives the same trace."""
    trace = generated_rates(scenario, 4000, seed=3, deviation_db=4.0, memory=0.6)
    level = 10 * np.log10(trace.values[UPLINK] / 120e6)
    assert level.std() == pytest.approx(4.0, rel=0.05)
    step = (level[1:] * level[:-1]).mean() / (level**2).mean()
    assert step == pytest.approx(0.6, abs=0.05)
    again = generated_rates(scenario, 4000, seed=3, deviation_db=4.0, memory=0.6)
    assert (again.values[UPLINK] == trace.values[UPLINK]).all()


def test_the_shipped_trace_is_generated_as_its_name_says(scenario):
    """The file is what the model gives for seed 0."""
    kept = read_trace("examples/wifi-rates-generated.csv", COLUMNS)
    fresh = generated_rates(scenario, kept.rounds)
    for column in (DOWNLINK, UPLINK):
        assert kept.values[column] == pytest.approx(fresh.values[column])


def test_the_command_replays_a_trace(tmp_path, capsys):
    """A table as for clusters, the gap, and files."""
    rows = tmp_path / "rows.csv"
    trace = "examples/wifi-rates-generated.csv"
    arguments = ["control", EXAMPLE, "--trace", trace, "--rounds", "3", "-o", str(rows), "--json"]
    assert run(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert len(report["rounds"]) == 3
    assert report["largest_gap"] <= 2e-3
    assert set(report["summary"]) == {"controller", "clairvoyant", "static", "periodic"}
    assert len(rows.read_text().splitlines()) == 4
    drawn = tmp_path / "drawn.csv"
    assert run(["control", EXAMPLE, "--rounds", "2", "--save-trace", str(drawn)]) == 0
    shown = capsys.readouterr().out
    assert "certified gap" in shown
    assert "not measured" in shown
    assert read_trace(drawn, COLUMNS).rounds == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--cut", "conv1"], "--cut"),
        (["--swaps", "10"], "--swaps"),
        (["--policies", "random"], "has 'random'"),
        (["--gain", "3"], "gain"),
        (["--objective", "expected"], "objective is 'expected'"),
    ],
)
def test_what_is_not_for_a_fleet_is_refused(more, words, capsys):
    """One sentence and exit 2."""
    assert run(["control", EXAMPLE, "--rounds", "1", *more]) == 2
    assert words in capsys.readouterr().err


def test_impossible_traces_are_refused(scenario, tmp_path):
    """A rate of 0 is named with its round and device; unknown columns are none of rates."""
    trace = generated_rates(scenario, 2)
    trace.values[UPLINK][1, 2] = 0.0
    with pytest.raises(InputError, match="round 2: uplink_bit_per_s of phone-3 is 0"):
        rounds_of(trace, scenario)
    file = tmp_path / "odd.csv"
    file.write_text(write_trace(trace).replace("bit_per_s", "mbit_per_s"))
    with pytest.raises(InputError, match="has none of the columns"):
        read_trace(file, COLUMNS)


def test_rates_of_devices_that_choose_servers_are_refused(tmp_path, capsys):
    """A rate each way says nothing of links to two servers: one sentence, no traceback."""
    two = Scenario.load("examples/two-servers.yaml")
    names = tuple(device.name for device in two.fleet())
    with pytest.raises(InputError, match="trace: is of one downlink and one uplink"):
        rounds_of(Trace(names, {UPLINK: np.full((1, len(names)), 1e6)}), two)
    with pytest.raises(InputError, match="choose more than a cut"):
        generated_rates(two, 3)
    trace = tmp_path / "rates.csv"
    assert run(["control", "examples/two-servers.yaml", "--save-trace", str(trace)]) == 2
    assert "choose more than a cut" in capsys.readouterr().err


def test_the_time_limit_reaches_a_fleet_with_shares(monkeypatch, tmp_path):
    """What the flag says is what the controller is started with; its own default without it."""
    seen = []

    def start(*_given, **options):
        seen.append(options.get("time_limit_s"))
        raise InputError("enough")

    monkeypatch.setattr(FleetController, "start", start)
    for flags in (["--time-limit", "7.5"], []):
        trace = ["--save-trace", str(tmp_path / "rates.csv"), "--rounds", "2"]
        assert run(["control", EXAMPLE, *trace, *flags]) == 2
    assert seen == [7.5, None]
