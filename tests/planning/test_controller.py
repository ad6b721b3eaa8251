"""The controller: policies in their order, warm starts, traces, and its command."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from splitopt import InputError, Scenario
from splitopt.cli.entry import run
from splitopt.distributions import Trace, write_trace
from splitopt.planning.controller import Controller, measured_rounds


def cell(devices=9, size=3, **changes):
    """Return a cell whose speeds and channels vary a lot."""
    document = {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "cell",
        "model": "cpsl-lenet-paper",
        "devices": [
            {
                "name": f"d{n}",
                "compute": f"{0.3 + 0.2 * (n % 4)} GMAC/s",
                "samples": 180,
                "batch_size": 16,
                "snr_db": 6 + 3 * (n % 5),
            }
            for n in range(devices)
        ],
        "links": {"downlink": {}, "uplink": {}},
        "servers": [{"name": "edge", "compute": "100 GMAC/s"}],
        "spectrum": {"subcarriers": 10, "bandwidth": "1 MHz"},
        "clusters": {"size": size},
        "distributions": {
            "samples": 20,
            "compute": {"kind": "normal", "std_relative": 0.3, "low": "0.05 GMAC/s"},
            "snr": {"kind": "normal", "std_db": 4},
        },
    }
    document.update(changes)
    return Scenario.from_dict(document, "cell")


@pytest.mark.slow
def test_knowing_more_is_never_worse():
    """The clairvoyant is best in every round, the controller near it, static and random behind."""
    controller = Controller.start(cell())
    report = controller.replay(controller.draw_rounds(12))
    latencies = {name: report.latencies(name) for name in report.policies}
    assert (latencies["clairvoyant"] <= latencies["controller"] * (1 + 1e-9)).all()
    means = {name: values.mean() for name, values in latencies.items()}
    assert means["controller"] <= 1.02 * means["clairvoyant"]
    assert means["controller"] < means["random"]
    assert means["controller"] < means["static"]
    assert report.summary()["static"]["relative"] == pytest.approx(
        means["static"] / means["controller"]
    )
    assert report.confidence["cut"] == report.cut


def test_a_round_is_what_its_plan_takes():
    """The reported latency is that of the plan for the measured round; plans are feasible."""
    controller = Controller.start(cell(), cut="CONV1-POOL1")
    rounds = controller.draw_rounds(3)
    reported = controller.replay(rounds, ["controller"]).latencies("controller")
    again = Controller.start(cell(), cut="CONV1-POOL1")
    for truth, seconds in zip(rounds, reported, strict=True):
        block = again.problem.source.block(again.cut, **truth)
        decision = again.replan(truth)
        assert block.violations(decision) == {}
        assert block.evaluate(decision) == seconds


def test_the_last_plan_is_a_better_start():
    """With almost no swaps, going on from the last plan beats starting from the sort."""
    scenario = cell(
        30,
        5,
        distributions={"compute": {"kind": "normal", "std_relative": 0.02, "low": "0.05 GMAC/s"}},
    )
    warm = Controller.start(scenario, cut="CONV1-POOL1", swaps=200)
    rounds = warm.draw_rounds(15)
    kept = warm.replay(rounds, ["controller"]).latencies("controller")[5:]
    fresh = [
        Controller(warm.problem, warm.cut, swaps=200, seed=9)
        .replay([truth], ["controller"])
        .latencies("controller")[0]
        for truth in rounds[5:]
    ]
    assert kept.mean() < np.mean(fresh)


@pytest.mark.slow
def test_old_measurements_cost_something():
    """A plan for the round before is not better than one for the round itself."""
    controller, late = (Controller.start(cell(), cut="CONV1-POOL1") for _ in range(2))
    rounds = controller.draw_rounds(20)
    now = controller.replay(rounds, ["controller"]).latencies("controller")
    then = late.replay(rounds, ["controller"], delay=1).latencies("controller")
    assert then.mean() > now.mean()


@pytest.mark.slow
def test_a_cautious_controller_takes_the_cut_of_the_shorter_tail():
    """The objective reaches saa, the report and its words; the CVaR is the mean of the worst."""
    controller = Controller.start(cell(), objective="cvar")
    assert controller.problem.objective == "cvar"
    report = controller.replay(controller.draw_rounds(10), ["random"])
    assert report.to_dict()["objective"] == "cvar"
    worst = report.latencies("random").max()  # one of ten rounds is the worst tenth
    assert report.summary()["random"]["cvar_s"] == pytest.approx(worst)
    assert "mean_low_s" not in report.summary()["random"]
    with pytest.raises(InputError, match="objective"):
        Controller.start(cell(), objective="luck")


@pytest.mark.slow
def test_means_of_drawn_rounds_have_intervals_that_hold():
    """Five replays of 10 rounds against the mean of 150 other rounds of each policy."""
    controller = Controller.start(cell(6, 3), cut="CONV1-POOL1", swaps=300)
    rounds = controller.draw_rounds(200)
    long = controller.replay(rounds[50:])
    truth = {name: long.latencies(name) for name in long.policies}
    for part in range(5):
        report = controller.replay(rounds[10 * part : 10 * part + 10], drawn=True)
        assert set(report.intervals) == set(truth)
        for name, (low, high) in report.intervals.items():
            error = 4 * truth[name].std() / np.sqrt(150)
            assert low - error <= truth[name].mean() <= high + error
            assert low < high
    # what never exceeds a fixed plan, and a fixed plan itself, are known from many rounds
    widths = {name: high - low for name, (low, high) in report.intervals.items()}
    assert widths["static"] < widths["controller"] < widths["random"]
    late = controller.replay(rounds[:10], ["controller"], delay=1, drawn=True)
    low, high = late.intervals["controller"]
    assert high - low > widths["controller"]


def test_ctrl_c_keeps_the_rounds_that_are_done():
    """The report says that it was interrupted."""
    controller = Controller.start(cell(), cut="CONV1-POOL1")

    def stop(number):
        if number == 2:
            raise KeyboardInterrupt

    report = controller.replay(controller.draw_rounds(5), ["static"], progress=stop)
    assert (len(report.rounds), report.interrupted) == (2, True)
    assert report.policies == ("controller", "static")


@pytest.mark.slow
def test_the_command_replays_a_trace(tmp_path, capsys):
    """CSV, chart and JSON; a missing value is refused with its line."""
    scenario = cell()
    scenario.save(tmp_path / "cell.yaml")
    names = tuple(device.name for device in scenario.fleet())
    rng = np.random.default_rng(0)
    trace = Trace(
        names,
        {
            "compute_flop_per_s": rng.uniform(4e8, 2e9, (4, 9)),
            "snr_db": rng.uniform(5, 20, (4, 9)),
        },
    )
    path = tmp_path / "rounds.csv"
    path.write_text(write_trace(trace))
    assert len(measured_rounds(trace, scenario)) == 4
    call = ["control", str(tmp_path / "cell.yaml"), "--trace", str(path)]
    files = ["-o", str(tmp_path / "out.csv"), "--plot", str(tmp_path / "out.svg")]
    assert run([*call, "--rounds", "3", *files, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert len(rows) == len(found["rounds"]) == 3
    assert float(rows[1]["clairvoyant_s"]) == found["rounds"][1]["latency_s"]["clairvoyant"]
    assert (tmp_path / "out.svg").read_text().startswith("<svg")
    assert run([*call, "--policies", "static"]) == 0
    said = capsys.readouterr().out
    assert "against the controller" in said
    assert "of all rounds" not in said  # measured rounds tell about themselves
    drawn = [*call[:2], "--rounds", "3", "--objective", "cvar", "--policies", "static"]
    assert run([*drawn, "--cut", "CONV1-POOL1"]) == 0
    said = capsys.readouterr().out
    assert said.count("95 % confidence") == 2
    assert "worst 10 %" in said
    lines = path.read_text().splitlines()
    lines[5] = lines[5].rsplit(",", 1)[0] + ","
    path.write_text("\n".join(lines) + "\n")
    assert run(call) == 2
    assert "line 6: 'snr_db' is missing" in capsys.readouterr().err
    assert run([*call[:2], "--policies", "luck"]) == 2
    assert run([*call[:2], "--cut", "FC9"]) == 2


def test_listed_samples_cannot_be_controlled():
    """There is nothing to measure in them."""
    drawn = Controller.start(cell(), cut="CONV1-POOL1").problem
    listed = type(drawn).from_scenarios(drawn.cuts, [[drawn.block(0, 0), drawn.block(0, 1)]])
    with pytest.raises(InputError, match="needs rounds by a generator"):
        Controller(listed, 0)
