"""``splitopt validate``: real processes and bytes, what is printed and written, exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
import splitopt  # noqa: E402
from splitopt import Scenario, Timeline  # noqa: E402
from splitopt.cli.entry import run  # noqa: E402
from splitopt.training.validation import measuring  # noqa: E402
from splitopt.training.validation.comparing import compare  # noqa: E402
from splitopt.training.validation.measured import BytesRow, Measured  # noqa: E402
from splitopt.training.wire import launch  # noqa: E402
from splitopt.training.wire.speed import HostSeconds  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(autouse=True)
def loose_floats():
    """PyTorch does its own arithmetic."""
    with np.errstate(all="warn"):
        yield


@pytest.fixture
def plan_file(tmp_path):
    """Return the file of a plan for two devices in one cluster with three local epochs."""
    document = Scenario.load("digits-clusters").to_dict()
    device = {"compute": "6 MFLOP/s", "samples": 40, "batch_size": 16, "snr_db": 20}
    document["devices"] = [{"name": "a", **device}, {"name": "b", **device, "snr_db": 8}]
    document["clusters"] = {"sizes": [2], "cut": "pool1"}
    document["training"] = {"epochs": 3, "rounds": 5}
    path = tmp_path / "plan.json"
    splitopt.plan(Scenario.from_dict(document)).save(path)
    return path


@pytest.fixture
def data_file(tmp_path):
    """Return a file of random images, which no process needs scikit-learn to read."""
    rng, path = np.random.default_rng(0), tmp_path / "images.npz"
    x, y = rng.random((100, 1, 8, 8), dtype=np.float32), rng.integers(0, 10, 100)
    np.savez(path, x_train=x[:80], y_train=y[:80], x_test=x[80:], y_test=y[80:])
    return path


def call(capsys, *arguments):
    code = run(["validate", *map(str, arguments)])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


@pytest.mark.slow
def test_processes_do_what_the_plan_says(capsys, tmp_path, plan_file, data_file):
    """Every task is there, in the order of the plan, and every byte; the clock is left alone."""
    files = {name: tmp_path / name for name in ("page.html", "tasks.json", "tasks.csv")}
    code, out, err = call(
        capsys,
        *(plan_file, "--data", data_file, "--time-scale", 0.05, "--any-speed", "--json"),
        *("--steps", 2),
        *("--report", files["page.html"], "-o", files["tasks.json"], "--csv", files["tasks.csv"]),
    )
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["missing"], found["extra"]) == ([], [])
    assert found["steps"]["incomplete"] == found["steps"]["out_of_order"] == 0
    assert found["steps"]["count"] == 2 * 3  # a gradient counts for the step after
    assert found["promised_s"] == pytest.approx(found["predicted_s"])  # a cell has a closed form
    assert found["promise_relative_error"] == pytest.approx(found["relative_error"])
    assert "Promised by the plan" in files["page.html"].read_text()
    by_kind = {row["kind"]: row for row in found["bytes"]}
    for kind in ("smashed", "gradient", "model"):
        assert by_kind[kind]["measured"] == by_kind[kind]["predicted"] > 0
    measured = Timeline.load(files["tasks.json"])
    assert len(measured) == sum(row["tasks"] for row in found["phases"])
    assert measured.origin["source"] == "measured"
    assert len(files["tasks.csv"].read_text().splitlines()) == 1 + len(measured)
    assert "predicted" in files["page.html"].read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "flags", "drawn"),
    [
        ("vanilla", (), ()),
        ("splitfed_v2", (), ("Order of service",)),
        ("splitfed_v2", ("--server-order", "batch", "--order", "given"), ()),
        (
            "splitfed_v2",
            ("--server-order", "batch", "--client-fraction", 0.5, "--rounds", 2),
            ("Order of service", "Clients in a round"),
        ),
        ("federated", ("--client-fraction", 0.5), ("Clients in a round",)),
    ],
)
def test_every_scheme_is_held_against_the_round_that_was_drawn(
    capsys, tmp_path, data_file, scheme, flags, drawn
):
    """Every task of those who were drawn, in their order, and no other; bytes to the byte."""
    document = Scenario.load("digits-splitfed").to_dict()
    document["devices"] = [
        {"name": name, "compute": "20 MFLOP/s", "samples": 24, "batch_size": 8} for name in "abc"
    ]
    path = tmp_path / "plan.json"
    splitopt.plan(Scenario.from_dict(document), scheme=scheme).save(path)
    given = ("--data", data_file, "--time-scale", 0.05, "--any-speed", "--json")
    code, out, err = call(capsys, path, *given, *flags)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["missing"], found["extra"]) == ([], [])
    assert found["steps"]["incomplete"] == found["steps"]["out_of_order"] == 0
    rounds = 2 if "--rounds" in flags else 1
    members = 2 if "--client-fraction" in flags else 3
    assert found["steps"]["count"] == 3 * members * rounds
    rows = {row["kind"]: row for row in found["bytes"]}
    for kind in ("model",) if scheme == "federated" else ("smashed", "gradient", "model"):
        assert rows[kind]["measured"] == rows[kind]["predicted"] > 0
    known = {"Order of service", "Clients in a round"}
    assert known & found["facts"].keys() == set(drawn)
    if not drawn and "--server-order" not in flags:
        assert found["promised_s"] == pytest.approx(found["predicted_s"])


@pytest.mark.slow
def test_codecs_travel_in_the_bytes_that_are_expected(capsys, plan_file, data_file):
    """Encoded on the wire, to the byte, and tasks as the plan predicts them for these bytes."""
    code, out, err = call(
        capsys,
        *(plan_file, "--data", data_file, "--time-scale", 0.05, "--any-speed", "--json"),
        *("--steps", 2, "--codec", "int8", "--gradient-codec", "topk:0.1"),
    )
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["missing"], found["extra"]) == ([], [])
    by_kind = {row["kind"]: row for row in found["bytes"]}
    for kind in ("smashed", "gradient", "model"):
        assert by_kind[kind]["measured"] == by_kind[kind]["predicted"] > 0
    # Two devices, two batches of 16 samples with 128 values at the cut, of 2,048 values each.
    assert by_kind["smashed"]["measured"] == 4 * (2048 + 5)
    assert by_kind["gradient"]["measured"] == 4 * 205 * (4 + 2)


def no_processes(monkeypatch, timelines, stopped="rounds"):
    """Put made-up timelines in the place of a run."""

    def fake(job, schedule, wanted, callback):
        from splitopt.training.program import program_of

        if wanted.at_scale is not None:
            wanted.at_scale(0.5, 1.0)
        program = program_of(job.plan)
        measured = timelines(program)
        return SimpleNamespace(
            program=program,
            scheme=SimpleNamespace(
                options=job.options, is_shuffled=False, takes_part=lambda number: program.clients
            ),
            timelines=measured,
            predicted=tuple(program.replay_of(number).timeline for number in range(len(measured))),
            time_scale=0.5,
            sent_bytes={"smashed": 7, "labels": 3, "begin": 5},
            dropped=("b in round 1 (upload: nothing came)", "a in round 2 (server: late)"),
            stopped=stopped,
            received_bytes={},
        )

    monkeypatch.setattr(launch, "run_job", fake)


def test_prints_tables(capsys, monkeypatch, plan_file):
    """Phases, what explains the difference, bytes, who was dropped."""

    def stretched(program):
        line = program.replay.timeline
        later = Timeline(
            line.resources,
            line.phases,
            line.owners,
            *(line.resource, line.phase, line.owner, line.batch),
            *(1.5 * line.start_s, 1.5 * line.end_s, line.share),
            {"round": 0},
        )
        return (later, Timeline.from_dict(later.to_dict() | {"origin": {"round": 1}}))

    no_processes(monkeypatch, stretched)
    code, out, err = call(capsys, plan_file, "--rounds", 2, "--within", "inf")
    assert code == 0
    assert "Time scale 0.5" in err
    for words in ("+50.00 %", "All 2 rounds took", "model broadcast", "Dropped: b in round 1"):
        assert words in out
    assert "states and commands" in out
    code, out, err = call(capsys, plan_file, "--rounds", 2, "--within", "inf", "--json")
    told = json.loads(out)["facts"]["Dropped"]
    assert told == "b in round 1 (upload: nothing came); a in round 2 (server: late)"


def test_a_run_that_was_interrupted_shows_what_it_has(capsys, monkeypatch, plan_file):
    """Whole rounds are compared, and the exit code is that of Ctrl-C; without any it is all."""

    def one(program):
        document = program.replay.timeline.to_dict() | {"origin": {"round": 0}}
        return (Timeline.from_dict(document),)

    no_processes(monkeypatch, one, "interrupted")
    code, out, _ = call(capsys, plan_file, "--rounds", 5, "--json")
    assert code == 130
    assert (json.loads(out)["rounds"], json.loads(out)["stopped"]) == (1, "interrupted")
    no_processes(monkeypatch, lambda program: (), "interrupted")
    code, out, _ = call(capsys, plan_file)
    assert (code, out) == (130, "")


def test_a_host_that_is_too_slow_is_refused_before_anything_starts(
    capsys, monkeypatch, tmp_path, plan_file
):
    """Exit code 1, with the factor and what would do; nothing is written."""
    from splitopt.training.wire import host

    def slow(program, scheme, timeline):
        taken = 10.0 * (timeline.end_s - timeline.start_s)
        nothing = np.zeros(len(timeline))
        return HostSeconds(taken, np.zeros(len(timeline), dtype=bool), nothing, cores=64)

    monkeypatch.setattr(host, "measure_host", slow)
    page = tmp_path / "page.html"
    code, out, err = call(capsys, plan_file, "--time-scale", 0.5, "--report", page)
    assert (code, out) == (1, "")
    assert "too slow for the plan at time scale 0.5, by a factor of 20" in err
    assert "take a time scale of 20" in err
    assert not page.exists()


def test_a_plan_whose_prediction_is_coarse_is_refused(capsys, monkeypatch, tmp_path):
    """Where many batches are shown as one, steps cannot be compared: exit code 1, at once."""
    from splitopt.simulation import cut_and_resources

    path = tmp_path / "many.json"
    splitopt.plan(Scenario.load("digits-splitfed")).save(path)
    monkeypatch.setattr(cut_and_resources, "MOST_TASKS", 100)
    code, out, err = call(capsys, path)
    assert (code, out) == (1, "")
    assert "a round of fast-1 has 20 batches, and the prediction shows many of them as one" in err
    assert "--steps" in err


def test_bad_input_is_one_sentence(capsys, tmp_path, plan_file):
    """Exit code 2: a scale that is none, no or another model, an output over the plan, no plan."""
    before = plan_file.read_bytes()
    for arguments, words in (
        ((plan_file, "--time-scale", "-1"), "time_scale: is -1.0, it must be above 0"),
        ((plan_file, "--model", "lenet"), "there is no shipped model 'lenet'"),
        ((plan_file, "--model", "lenet12"), "is not the one that the plan was made for"),
        ((plan_file, "-o", plan_file), "is the input"),
        ((tmp_path / "none.json",), "none.json: there is no such file"),
    ):
        code, out, err = call(capsys, *arguments)
        assert (code, out) == (2, "")
        assert words in err
        assert err.count("\n") == 1
    assert plan_file.read_bytes() == before


def test_a_plan_that_does_not_hold_ends_with_code_1(capsys, monkeypatch, plan_file):
    """``--within`` says by how much; what was measured here is a simulation under noise."""
    plan = splitopt.Plan.load(plan_file)
    predicted = splitopt.simulate(plan).timeline
    slower = replace(predicted, start_s=1.2 * predicted.start_s, end_s=1.2 * predicted.end_s)
    found = Measured(
        *("x", plan.problem, predicted, slower, compare(predicted, slower), 1.0, 1),
        traffic=(BytesRow("smashed", 100.0, 100.0), BytesRow("label", None, 5.0)),
    )
    monkeypatch.setattr(measuring, "validate_job", lambda *_, **__: found)
    assert call(capsys, plan_file)[0] == 0  # 25 % by default
    assert call(capsys, plan_file, "--within", 21)[0] == 0
    assert call(capsys, plan_file, "--within", "inf")[0] == 0
    code, out, err = call(capsys, plan_file, "--within", 19)
    assert code == 1
    assert "predicted and measured" in out
    assert "does not hold within 19 %: the median step is off by +20 %; the round is off by" in err
    wrong = replace(found, traffic=(BytesRow("smashed", 100.0, 101.0),))
    monkeypatch.setattr(measuring, "validate_job", lambda *_, **__: wrong)
    assert call(capsys, plan_file, "--within", "inf")[0] == 0
    code, _, err = call(capsys, plan_file)
    assert code == 1
    assert "bytes (smashed) are 101 where 100 were predicted" in err
