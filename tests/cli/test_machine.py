"""``splitopt machine fit``: from measured profiles to a machine file that a plan uses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from splitopt.cli.entry import run
from splitopt.profiles import MachineModel, MachineTimes, OperatorCounts, Provenance
from splitopt.profiles.table.profile import ModelProfile

TRUE = np.array([2e-11, 5e-10, 4e-11, 3e-10, 1e-10, 2e-5])


def a_profile(name, seed, batch=8):
    """Draw a network of five layers whose times on ``pi`` are those of the machine `TRUE`."""
    draw = np.random.default_rng(seed)
    tables = [draw.uniform(0.2, 1.0, (5, 6)) * [3e8, 1e7, 2e7, 5e6, 1e6, 20] for _ in range(3)]
    seconds = [table / [1, 1, 1, 1, 8, 8] @ TRUE for table in tables]
    work = np.arange(1.0, 6.0)
    return ModelProfile(
        name=name,
        layers=tuple("abcde"),
        device_forward_flop=work,
        device_backward_flop=work,
        server_forward_flop=5 - work,
        server_backward_flop=5 - work,
        smashed_bytes=[8, 8, 8, 8, 0],
        gradient_bytes=[8, 8, 8, 8, 0],
        device_model_bytes=work,
        work_unit="FLOP",
        provenance=Provenance(kind="user", source="made up for a test"),
        machines={"pi": MachineTimes(*seconds, [True] * 5, batch=batch)},
        operators=OperatorCounts(*tables),
    )


@pytest.fixture
def files(tmp_path):
    found = []
    for seed, name in enumerate(("one", "two", "three")):
        a_profile(name, seed).save(tmp_path / f"{name}.json")
        found.append(str(tmp_path / f"{name}.json"))
    return found


def test_a_fit_is_written_and_plans(tmp_path, files, capsys):
    """The machine that made the times comes back, and a scenario takes the file."""
    out = tmp_path / "pi.json"
    assert run(["machine", "fit", "pi", *files, "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert "50 GFLOP/s in convolutions" in said
    assert "20 us per operator" in said
    assert "two, left out: its parts are predicted 0 % off" in said
    model = MachineModel.load(out)
    np.testing.assert_allclose(model.coefficients, TRUE, rtol=1e-6)
    assert model.batch == 8
    (tmp_path / "fleet.yaml").write_text(
        "format: splitopt-scenario\nversion: 1\nmodel: {file: one.json}\n"
        "devices: [{name: a, samples: 10, machine_model: pi.json}]\n"
        "servers: [{name: s, machine_model: pi.json}]\n"
        "links: {downlink: 10 Mbit/s, uplink: 10 Mbit/s}\n"
    )
    assert run(["plan", str(tmp_path / "fleet.yaml"), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["prediction"]["round_interval"]["level"] == 0.9
    assert run(["plan", str(tmp_path / "fleet.yaml"), "--report", str(tmp_path / "p.html")]) == 0
    assert "A real round: " in " ".join(capsys.readouterr().out.split())
    assert "A real round" in (tmp_path / "p.html").read_text()


def test_splits_and_messages(tmp_path, files, capsys):
    """A table of splits made by the machine gives it back; messages give a cost and a rate."""
    lines = ["network,split,device_s,server_s"]
    for seed, name in enumerate(("one", "two", "three")):
        layers = 8 * a_profile(name, seed).machines["pi"].forward_s
        lines += [f"{name},{cut},{layers[:cut].sum()},{layers[cut:].sum()}" for cut in range(1, 5)]
    (tmp_path / "splits.csv").write_text("\n".join(lines))
    (tmp_path / "messages.csv").write_text("bytes,seconds\n1000,0.003\n10000,0.012\n")
    tables = ["--splits", str(tmp_path / "splits.csv"), "--measured", "forward", "--batch", "8"]
    tables += ["--messages", str(tmp_path / "messages.csv")]
    assert run(["machine", "fit", "pi", *files, *tables, "--json"]) == 0
    found = MachineModel.from_dict(json.loads(capsys.readouterr().out), "printed")
    np.testing.assert_allclose(found.coefficients, TRUE, rtol=1e-5)
    assert found.message_s == pytest.approx(0.002)
    assert run(["machine", "fit", "pi", *files, *tables]) == 0
    assert "travel at 8 Mbit/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--measured", "forward"], "--measured is about --splits"),
        (["--splits", "none.csv"], "--batch: is needed with --splits"),
        (["--splits", "none.csv", "--batch", "8"], "none.csv"),
        (["--batch", "4"], "batch: is 4, but 'pi' of 'one' was timed with 8"),
        (["-o", "ONE"], "one.json"),
    ],
)
def test_mistakes_are_one_sentence(files, capsys, more, words):
    """Nothing is written, and the exit code is 2."""
    more = [files[0] if word == "ONE" else word for word in more]
    assert run(["machine", "fit", "pi", *files, *more]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_profiles_that_do_not_go_together(tmp_path, files, capsys):
    """A machine that is not there, one name twice, two batches."""
    assert run(["machine", "fit", "board", *files]) == 2
    assert "has no machine 'board'; the machines are pi" in capsys.readouterr().err
    assert run(["machine", "fit", "pi", files[0], files[0]]) == 2
    assert "a network 'one' was given before" in capsys.readouterr().err
    a_profile("four", 4, batch=16).save(tmp_path / "four.json")
    assert run(["machine", "fit", "pi", *files, str(tmp_path / "four.json")]) == 2
    assert "timed with batches of 8, 16; measure all with one" in capsys.readouterr().err
