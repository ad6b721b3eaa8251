"""From a scenario to drawn rounds, and to a plan that needs no other file."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from splitopt import ClusterAndSpectrum, CutUnderUncertainty, InputError, Plan, Scenario, plan
from splitopt.cli.entry import run
from splitopt.planning import open_plan

TRACE = """round,device,compute_flop_per_s,snr_db
1,a-1,1.0e9,17
1,a-2,1.2e9,15
1,b,0.5e9,9
2,a-1,1.1e9,16
2,a-2,0.9e9,18
2,b,0.6e9,7
"""


def document(**changes):
    """Return a small cell as plain data."""
    found = {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "cell",
        "model": "cpsl-lenet-paper",
        "devices": [
            {
                "name": "a",
                "count": 2,
                "compute": "1 GFLOP/s",
                "samples": 80,
                "batch_size": 16,
                "snr_db": 17,
            },
            {"name": "b", "compute": "0.5 GFLOP/s", "samples": 80, "batch_size": 16, "snr_db": 8},
        ],
        "links": {"downlink": {}, "uplink": {}},
        "servers": [{"name": "edge", "compute": "200 GFLOP/s"}],
        "spectrum": {"subcarriers": 6, "bandwidth": "1 MHz"},
        "clusters": {"sizes": [2, 1]},
        "distributions": {
            "samples": 6,
            "compute": {"kind": "normal", "std": "0.1 GFLOP/s", "low": "0.1 GFLOP/s"},
            "snr": {"kind": "normal", "std_db": 2},
        },
    }
    found.update(changes)
    return found


def read(**changes):
    """Build the scenario as a file would."""
    return Scenario.from_dict(document(**changes), "cell.yaml")


@pytest.mark.parametrize("fading", ["awgn", "rayleigh"])
@pytest.mark.parametrize("band", [False, True])
def test_a_sample_is_the_round_of_a_scenario_with_these_values(fading, band):
    """Scaling the nominal round equals computing the latency model at the drawn values."""
    spectrum = {
        "subcarriers": 6,
        "bandwidth": "1 MHz",
        "fading": fading,
        "device_model_over_full_band": band,
    }
    scenario = read(spectrum=spectrum)
    problem = CutUnderUncertainty.from_scenario(scenario)
    drawn = problem.source.draw(3)
    from splitopt.latency.cell import cell_seconds

    profile = scenario.load_model()
    for cut in range(len(problem.cuts)):
        seconds = cell_seconds(
            scenario, profile, cut + 1, speed=drawn["compute"], snr=10 ** (drawn["snr_db"] / 10)
        )
        expected = ClusterAndSpectrum.from_seconds(seconds, scenario)
        np.testing.assert_allclose(problem.block(3, cut).terms, expected.terms, rtol=1e-12)
    assert problem.cuts == tuple(profile.layers)


def test_a_cut_that_is_given_is_the_only_one():
    """Then the plan says what its rounds take."""
    problem = CutUnderUncertainty.from_scenario(read(clusters={"sizes": [2, 1], "cut": 1}))
    assert problem.cuts == ("CONV1-POOL1",)


def test_a_trace_file_is_read_into_the_scenario_and_the_plan(tmp_path):
    """Rounds are drawn whole; the plan opens where the file is not."""
    import yaml

    (tmp_path / "history.csv").write_text(TRACE)
    path = tmp_path / "cell.yaml"
    path.write_text(yaml.safe_dump(document(distributions={"samples": 5, "trace": "history.csv"})))
    scenario = Scenario.load(path)
    problem = CutUnderUncertainty.from_scenario(scenario)
    drawn = {tuple(problem.source.draw(j)["snr_db"]) for j in range(5)}
    assert drawn <= {(17.0, 15.0, 9.0), (16.0, 18.0, 7.0)}
    plan(scenario, problem="cut_under_uncertainty", objective="expected").save(tmp_path / "p.json")
    (tmp_path / "history.csv").unlink()
    opened = open_plan(Plan.load(tmp_path / "p.json"))
    assert opened.problem.evaluate(opened.decision) > 0
    assert Scenario.from_dict(scenario.to_dict()) == scenario


def test_a_column_file_is_read_into_the_scenario(tmp_path):
    """Measured speeds, drawn for each device by itself."""
    import yaml

    (tmp_path / "speeds.csv").write_text("speed\n1e9\n2e9\n")
    section = {"compute": {"kind": "empirical", "file": "speeds.csv", "column": "speed"}}
    path = tmp_path / "cell.yaml"
    path.write_text(yaml.safe_dump(document(distributions=section)))
    assert Scenario.load(path).distributions.compute.values == (1e9, 2e9)
    (tmp_path / "speeds.csv").write_text("speed\n1e9\nNA\n")
    with pytest.raises(InputError, match="line 3: 'speed' is missing"):
        Scenario.load(path)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (
            {"compute": {"kind": "normal", "std": "0.1 GFLOP/s"}},
            "distributions.compute.*infinite mean latency; set its truncation 'low'",
        ),
        ({"compute": {"kind": "normal", "low": "1 GFLOP/s"}}, "either 'std' or 'std_relative'"),
        ({"compute": {"kind": "uniform", "low": "1 GFLOP/s"}}, "uniform needs 'high'"),
        ({"compute": {"kind": "constant", "high": "1 GFLOP/s"}}, "does not use 'high'"),
        ({"compute": {"kind": "normal", "std": "5 dB"}}, "unit"),
        ({"snr": {"kind": "normal"}}, "normal needs 'std_db'"),
        ({"snr": {"kind": "lognormal", "mean_db": 3}}, "kind"),
        ({"samples": 5}, "needs either 'compute' or 'snr'"),
        ({"compute": {"kind": "constant"}, "trace": {"devices": ["a"]}}, "needs either"),
    ],
)
def test_sections_that_cannot_be_used_are_refused(section, words):
    """One sentence with field, value and mend."""
    with pytest.raises(InputError, match=words):
        read(distributions=section)


def test_a_trace_of_other_devices_is_refused():
    """Columns must be the fleet's devices."""
    section = {"trace": {"devices": ["a-1", "a-2"], "snr_db": [[1.0, 2.0]]}}
    with pytest.raises(InputError, match=r"distributions\.trace: has no rows of the device 'b'"):
        CutUnderUncertainty.from_scenario(read(distributions=section))


def test_a_scenario_with_distributions_asks_for_the_cut():
    """Without a name the plan is of this problem; infeasible cells say what would do."""
    assert plan(read()).problem == "cut_under_uncertainty"
    tight = plan(read(spectrum={"subcarriers": 1, "bandwidth": "1 MHz"}))
    assert tight.result["outcome"] == "infeasible"
    assert "needs at least 2 subcarriers" in tight.result["message"]


@pytest.mark.slow
def test_the_command_line_says_where_it_works(tmp_path, capsys, monkeypatch):
    """Options of place, a checkpoint, the interval in the plan, and refusals with exit code 2."""
    read().save(tmp_path / "cell.yaml")
    call = ["plan", str(tmp_path / "cell.yaml"), "--problem", "cut_under_uncertainty"]
    extra = ["--workers", "2", "--engine", "threads", "--checkpoint", str(tmp_path / "kept")]
    assert run([*call, *extra, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["prediction"]["confidence"] == made["result"]["details"]["confidence"]
    assert (tmp_path / "kept" / "checkpoint.json").exists()
    assert run([*call, "--report", str(tmp_path / "page.html")]) == 0
    assert "The cuts on the same rounds" in (tmp_path / "page.html").read_text()
    capsys.readouterr()
    monkeypatch.setattr("splitopt.engine._CONNECT_S", 0.2)  # nobody will answer any later
    refused = [("abacus", "engine: is 'abacus'")]
    if importlib.util.find_spec("distributed") is None:
        refused += [("dask", "needs the package 'distributed'")]
    else:
        refused += [("dask", "needs the address"), ("dask=tcp://127.0.0.1:9", "cannot be reached")]
    for engine, words in refused:
        assert run([*call, "--engine", engine]) == 2
        assert words in capsys.readouterr().err
