"""Training whose plan follows what rounds take: found out, planned for, and learnt the same."""

from __future__ import annotations

import numpy as np
import pytest

import splitopt
from splitopt import InputError, Scenario, plan, solve
from splitopt.cli.entry import run
from splitopt.distributions import Trace, write_trace
from splitopt.planning.control.fleet import FleetController
from splitopt.planning.control.rates import DOWNLINK, UPLINK, planned_numbers
from splitopt.planning.control.replan import Damping
from splitopt.planning.planner import open_plan
from splitopt.problems.cut_and_resources import CutAndResources
from splitopt.scenario.varying import COMPUTE
from splitopt.training.history import History
from splitopt.training.options import Options

pytestmark = pytest.mark.train

ROUNDS, SLOWS = 4, 2
FACTORS = {DOWNLINK: 5.0, UPLINK: 5.0, COMPUTE: 0.05}
"""What every device's rates become from the round `SLOWS` on (0 is the first)."""
NAMES = {DOWNLINK: "download", UPLINK: "upload", COMPUTE: "compute"}
OPTIONS = Options(momentum=0.9, optimizer_state="keep", learning_rate=0.1)


@pytest.fixture(scope="module")
def scenario():
    """Return a small fleet with a plan that can be trained."""
    return Scenario.load("digits-splitfed")


@pytest.fixture(scope="module")
def planned(scenario):
    """Return its plan."""
    return plan(scenario)


@pytest.fixture(scope="module")
def hidden(scenario, tmp_path_factory):
    """Return a trace of rates that change in the middle of the run."""
    numbers, names = planned_numbers(scenario), tuple(d.name for d in scenario.fleet())
    late = (np.arange(ROUNDS) >= SLOWS)[:, None]
    rates = {key: np.where(late, row * FACTORS[key], row) for key, row in numbers.items()}
    file = tmp_path_factory.mktemp("hidden") / "hidden.csv"
    file.write_text(write_trace(Trace(names, rates)))
    return file


def times(quantity, factor):
    """Return so many times a quantity with a unit, such as ``3 MFLOP/s``."""
    value, unit = quantity.split()
    return f"{float(value) * factor!r} {unit}"


def trained(planned, **options):
    """Train and return the run; what is tested is tested once."""
    from splitopt.training.wire.compute import one_thread

    given = {"rounds": ROUNDS, "seed": 3, "options": OPTIONS, "evaluate_every": ROUNDS}
    with one_thread():  # sums of several threads are not the same to the last bit on a busy host
        return splitopt.train(planned, **given | options)


@pytest.fixture(scope="module")
def following(planned, hidden):
    """Return the rows of a run that follows what it measures."""
    return trained(planned, replan="measured", actual_rates=hidden).history.rows


@pytest.mark.slow
def test_a_slow_device_is_noticed_and_planned_for(following, planned, scenario, hidden):
    """Estimates are the hidden rates; the next plan is the optimum of a scenario that has them."""
    for row in following:
        for known in row.estimated.values():
            for key, factor in FACTORS.items():
                true = factor if row.round > SLOWS else 1.0
                assert known[NAMES[key]] == pytest.approx(true, rel=1e-9)
        assert row.replan["server_estimated"] == pytest.approx(1.0, rel=1e-9)
    assert [row.replan["moved"] > 0 for row in following] == [False, False, False, True]
    document = scenario.to_dict()
    for device in document["devices"]:
        device["compute"] = times(device["compute"], FACTORS[COMPUTE])
        if "uplink" in device:
            device["uplink"]["rate"] = times(device["uplink"]["rate"], FACTORS[UPLINK])
    for way, column in (("downlink", DOWNLINK), ("uplink", UPLINK)):
        link = document["links"][way]
        link["rate"] = times(link["rate"], FACTORS[column])
    changed = Scenario.from_dict(document)
    best = solve(CutAndResources.from_scenario(changed), "exact").objective
    reached = following[SLOWS + 1].replan["objective"]
    assert best * (1 - 1e-6) <= reached <= best * (1 + Damping().tolerance + 1e-3)


@pytest.mark.slow
def test_what_is_learnt_is_that_of_the_plan_and_time_is_that_of_the_truth(
    following, planned, hidden
):
    """Losses are those of a plan that stays; before anything changes so are the seconds."""
    plain = trained(planned).history.rows
    stays = trained(planned, actual_rates=hidden).history.rows
    assert [row.loss for row in following] == [row.loss for row in plain]
    assert [row.loss for row in stays] == [row.loss for row in plain]
    for row, own, still in zip(following, plain, stays, strict=True):
        if row.round <= SLOWS:
            assert row.round_s == pytest.approx(own.round_s, rel=1e-12)
        if row.round <= SLOWS + 1:  # the change is known when its first round is over
            assert row.round_s == still.round_s
    assert following[-1].round_s != stays[-1].round_s
    assert not stays[-1].replan


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_the_estimates(following, planned, hidden, tmp_path):
    """Rows are those of the uninterrupted run, and files keep them."""
    given = {"checkpoint": tmp_path / "c", "replan": "measured", "actual_rates": hidden}
    trained(planned, **given, rounds=3)
    again = trained(planned, **given, resume=True).history
    assert [row.estimated for row in again.rows] == [row.estimated for row in following]
    assert [row.round_s for row in again.rows] == [row.round_s for row in following]
    assert [row.replan for row in again.rows] == [row.replan for row in following]
    again.save(tmp_path / "h.json")
    assert History.load(tmp_path / "h.json").rows == again.rows
    with pytest.raises(InputError):
        trained(planned, **given, resume=True, smoothing=0.25, rounds=5)


@pytest.mark.slow
def test_chance_in_times_is_averaged(planned, scenario):
    """Under noise without a change every estimate stays near 1, and the same seed is the same."""
    given = {"replan": "measured", "time_noise": 0.05, "smoothing": 0.2, "rounds": 3}
    one, other = (trained(planned, **given).history.rows for _ in range(2))
    assert [row.round_s for row in one] == [row.round_s for row in other]
    assert len({row.round_s for row in one}) == 3
    for known in one[-1].estimated.values():
        assert all(0.9 < value < 1.1 for value in known.values())  # 7 deviations


@pytest.mark.slow
def test_the_command_line_says_what_was_measured(planned, hidden, tmp_path, capsys):
    """Columns of the table, the table of rates, and what does not go together."""
    file, rows, page = tmp_path / "plan.json", tmp_path / "rows.csv", tmp_path / "page.html"
    planned.save(file)
    begin = ["train", str(file), "--rounds", "1", "--actual-rates", str(hidden)]
    outputs = ["--csv", str(rows), "--plot", str(page)]
    assert run([*begin, "--replan", "measured", *outputs]) == 0
    assert "estimated_compute[" in rows.read_text()
    assert "Estimated compute" in page.read_text()
    assert "Planned by what rounds take" in capsys.readouterr().out
    for wrong in (
        ["--replan", str(hidden)],
        ["--replan", "measured", "--rounds", "9"],
        ["--replan", "measured", "--time-noise", "-1"],
        ["--replan", "measured", "--wire", "--time-noise", ".1"],
        ["--smoothing", ".1"],
        ["--scheme", "federated"],
    ):
        assert run([*begin, *wrong]) == 2, wrong
    assert run(["train", str(file), "--time-noise", ".1"]) == 2


@pytest.mark.slow
def test_processes_measure_themselves(planned, scenario, hidden, tmp_path):
    """Processes that are slowed are found to be; a busy host can only make them slower still.

    The run is broken off and resumed: the round after that has the plan of those before it.
    """
    import torch

    from splitopt.training.rounds.replanning import estimates_in
    from splitopt.training.wire.launch import run_wire

    fast = {"time_scale": 2e-3, "any_speed": True, "join_s": 600.0, "deadline": "300 s"}
    given = {"rounds": ROUNDS, "seed": 3, "options": OPTIONS, "evaluate_every": ROUNDS}
    kept = {"checkpoint": tmp_path / "kept", "replan": "measured", "actual_rates": hidden}
    first = run_wire(planned, **given | {"rounds": SLOWS + 1}, **fast, **kept)
    wired = run_wire(planned, **given, **fast, **kept, resume=True)
    assert wired.history.rows[: SLOWS + 1] == first.history.rows
    assert len(wired.timelines) == ROUNDS - SLOWS - 1
    plain = trained(planned)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(wired.model.state_dict()[name], value), name
    rows = wired.history.rows
    assert [row.loss for row in rows] == [row.loss for row in plain.history.rows]
    problem = CutAndResources.from_scenario(scenario)
    cuts = np.array(planned.decision["cut"])
    for row, line in zip(rows, (*first.timelines, *wired.timelines), strict=True):
        slowed = row.round > SLOWS
        assert line.makespan_s >= row.round_s * 0.99
        for n, name in enumerate(row.measured):
            found = row.measured[name]["compute"]
            assert found <= (FACTORS[COMPUTE] if slowed else 1.0) * 1.02  # keeps a pace, or slower
            if row.round == 1:  # by the seconds of the plan's own table
                own = [t for t in line if t.owner == name and t.phase.startswith("device")]
                took = sum(task.end_s - task.start_s for task in own)
                assert found * took == pytest.approx(problem.device_s[n, cuts[n] - 1])
    assert all(known["compute"] <= 0.06 for known in rows[-1].estimated.values())
    names = [device.name for device in scenario.fleet()]
    controller = FleetController(problem, names, decision=open_plan(planned).decision)
    for number in range(ROUNDS - 1):  # measured times differ from run to run, what follows not
        expected = controller.apply(estimates_in(wired.history, number).events())
    told = rows[-1].replan
    assert (told["gap"], told["objective"]) == (expected.gap, expected.objective)
    assert told["moved"] == len(expected.moved or {})
