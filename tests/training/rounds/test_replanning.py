"""Training whose plan follows a trace: what is learnt, what it takes, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import InputError, Scenario, plan
from splitopt.cli.entry import run
from splitopt.distributions import Trace, write_trace
from splitopt.planning.control.rates import DOWNLINK, UPLINK, generated_rates, planned_numbers
from splitopt.scenario.varying import COMPUTE

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def scenario():
    """Return a small fleet with a plan that can be trained."""
    return Scenario.load("digits-splitfed")


@pytest.fixture(scope="module")
def planned(scenario):
    """Return its plan."""
    return plan(scenario)


@pytest.fixture(scope="module")
def traces(scenario, tmp_path_factory):
    """Return files: rates as planned, and rates and speeds that make other cuts better."""
    folder = tmp_path_factory.mktemp("traces")
    numbers, names = planned_numbers(scenario), tuple(d.name for d in scenario.fleet())
    steady = Trace(names, {key: np.tile(row, (4, 1)) for key, row in numbers.items()})
    factors = {DOWNLINK: 5.0, UPLINK: 5.0, COMPUTE: 0.05}
    turn = np.array([1.0, 0.0, 1.0, 1.0])[:, None]
    rough = {key: np.where(turn, row * factors[key], row) for key, row in numbers.items()}
    for name, trace in (("steady", steady), ("rough", Trace(names, rough))):
        (folder / f"{name}.csv").write_text(write_trace(trace))
    return folder


def rows_of(planned, **options):
    """Train four rounds and return the rows of the history."""
    import splitopt
    from splitopt.training.options import Options

    kept = Options(momentum=0.9, optimizer_state="keep", learning_rate=0.1)
    return splitopt.train(planned, rounds=4, seed=3, options=kept, **options).history.rows


@pytest.mark.slow
def test_rates_as_planned_change_nothing(planned, traces):
    """Loss, bytes, seconds and phases are those of the plan."""
    plain = rows_of(planned)
    for one, other in zip(plain, rows_of(planned, replan=traces / "steady.csv"), strict=True):
        assert other.loss == one.loss
        assert other.traffic_bytes == one.traffic_bytes
        assert other.round_s == pytest.approx(one.round_s, rel=1e-9)
        assert other.phases_s == pytest.approx(one.phases_s)
        assert other.replan["moved"] == 0


@pytest.mark.slow
def test_cuts_change_between_rounds_and_learning_does_not(planned, traces, scenario):
    """Losses stay bit for bit, momentum included; bytes and seconds are those of the new plan."""
    from splitopt.planning.control.fleet import FleetController

    plain, found = rows_of(planned), rows_of(planned, replan=traces / "rough.csv")
    assert [row.loss for row in found] == [row.loss for row in plain]
    assert found[1].replan["moved"] > 0
    assert found[1].traffic_bytes != plain[1].traffic_bytes
    assert found[0].traffic_bytes == plain[0].traffic_bytes
    follows = FleetController.start(scenario)
    assert found[3].replan["gap"] <= follows.goal + follows.damping.tolerance
    assert sum(found[1].phases_s.values()) == pytest.approx(found[1].round_s)


@pytest.mark.slow
def test_a_resumed_run_is_the_uninterrupted_one(planned, traces, tmp_path):
    """The plan of every round follows from the trace, also of those before the checkpoint."""
    import splitopt
    from splitopt.training.options import Options

    kept = Options(momentum=0.9, optimizer_state="keep", learning_rate=0.1)
    common = {"seed": 3, "options": kept, "replan": traces / "rough.csv"}
    whole = rows_of(planned, replan=traces / "rough.csv")
    splitopt.train(planned, rounds=2, checkpoint=tmp_path / "c", **common)
    again = splitopt.train(planned, rounds=4, checkpoint=tmp_path / "c", resume=True, **common)
    for one, other in zip(whole, again.history.rows, strict=True):
        assert other.loss == one.loss
        assert other.round_s == one.round_s
        assert other.traffic_bytes == one.traffic_bytes
    with pytest.raises(InputError):
        splitopt.train(
            planned,
            rounds=5,
            checkpoint=tmp_path / "c",
            resume=True,
            **common | {"replan": traces / "steady.csv"},
        )


@pytest.mark.slow
def test_what_cannot_follow_is_refused(planned, traces, tmp_path, scenario):
    """Other schemes, options that hold a cut, and short traces: one sentence each."""
    import splitopt
    from splitopt.training.options import Options

    trace = traces / "steady.csv"
    with pytest.raises(InputError, match="replan: is for plans of cut_and_resources"):
        splitopt.train(planned, rounds=1, scheme="federated", replan=trace)
    with pytest.raises(InputError, match="replan: does not go with codecs"):
        splitopt.train(planned, rounds=1, options=Options(codec="int8"), replan=trace)
    with pytest.raises(InputError, match="replan: does not go with client_fraction"):
        splitopt.train(planned, rounds=1, options=Options(client_fraction=0.5), replan=trace)
    with pytest.raises(InputError, match="has 4 rounds, and 5 are trained"):
        splitopt.train(planned, rounds=5, replan=trace)
    file = tmp_path / "plan.json"
    planned.save(file)
    few = ["train", str(file), "--rounds", "5", "--replan", str(trace), "--wire"]
    assert run(few) == 2
    assert run([*few, "--namespaces", "--rounds", "1"]) == 2
    drawn = tmp_path / "drawn.csv"
    drawn.write_text(write_trace(generated_rates(scenario, 2)))
    rows = tmp_path / "rows.csv"
    arguments = ["train", str(file), "--rounds", "2", "--replan", str(drawn), "--csv", str(rows)]
    assert run(arguments) == 0
    assert "replan_gap" in rows.read_text()


@pytest.mark.slow
def test_processes_follow_the_trace(planned, traces):
    """Weights, rows and bytes are those of one process, tasks those of each plan."""
    import torch

    import splitopt
    from splitopt.training.options import Options
    from splitopt.training.wire.launch import run_wire

    kept = Options(momentum=0.9, optimizer_state="keep", learning_rate=0.1)
    given = {"rounds": 3, "seed": 3, "options": kept, "replan": traces / "rough.csv"}
    one = splitopt.train(planned, **given)
    fast = {"time_scale": 1e-4, "any_speed": True, "join_s": 600.0, "deadline": "120 s"}
    wired = run_wire(planned, **given, **fast)
    assert wired.history == one.history
    assert wired.history.rows[1].replan["moved"] > 0
    for name, value in one.model.state_dict().items():
        assert torch.equal(wired.model.state_dict()[name], value), name
    total = one.history.traffic_bytes()
    assert wired.sent_bytes["smashed"] == total["smashed"]
    assert wired.sent_bytes["gradient"] == total["gradient"]
    assert wired.sent_bytes["model"] == total["model_down"] + total["model_up"]
    for row, predicted, measured in zip(
        one.history.rows, wired.predicted, wired.timelines, strict=True
    ):
        assert predicted.makespan_s == pytest.approx(row.round_s)
        tasks = [{(t.phase, t.owner, t.batch) for t in line} for line in (predicted, measured)]
        assert tasks[1] == tasks[0]
        assert measured.makespan_s >= predicted.makespan_s * 0.99
