"""Pipelines on the command line: plan, report, solve and the delay-cost set, with exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from splitopt.cli.entry import run

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "pipeline-vgg19.yaml"


@pytest.fixture
def changed(tmp_path):
    """Return a function that writes the example with changed entries."""

    def write(**changes):
        document = {**yaml.safe_load(EXAMPLE.read_text()), **changes}
        path = tmp_path / "scenario.yaml"
        path.write_text(yaml.safe_dump(document))
        return str(path)

    return write


@pytest.mark.one_quick
@pytest.mark.parametrize("name", ["pipeline-vgg19", "pipeline-resnet101"])
def test_plan_and_report(tmp_path, capsys, name):
    """The examples are planned to a proof, with a page; the plan file is enough for the report."""
    plan, page = tmp_path / "plan.json", tmp_path / "plan.html"
    example = str(ROOT / "examples" / f"{name}.yaml")
    assert run(["plan", example, "-o", str(plan), "--report", str(page)]) == 0
    shown = capsys.readouterr().out
    assert "Optimal by proof" in shown
    assert "Binding:" in shown
    assert "Minimised" not in shown  # the round is what is printed
    assert "Who hosts what" in page.read_text()
    assert run(["report", str(plan)]) == 0
    again = capsys.readouterr().out
    assert again.partition("Note: the bound is as the file states it")[0] == shown


def test_objectives_of_nodes_alone_say_what_they_leave_out(capsys):
    """Else a period of ms is proved above a printed one of s, which the owners' links set."""
    assert run(["plan", "digits-pipeline", "--objective", "period"]) == 0
    shown = capsys.readouterr().out
    assert "Minimised: the busy time per batch of nodes and of links between them" in shown


def test_the_shipped_instance_has_its_optimum(capsys):
    """Two nodes, worked out by hand: 30 for both objectives."""
    path = ROOT / "benchmarks" / "instances" / "pipeline_partition" / "two-nodes.json"
    for objective in ("paper", "period"):
        assert run(["solve", str(path), "--objective", objective, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["outcome"], found["objective"]) == ("optimal", 30)
        assert found["decision"]["assignment"] == [1, 1, 0, 0, 0, 0]


@pytest.mark.slow
def test_pareto(tmp_path, capsys):
    """Every point is a plan of its mix; table, page and JSON hold the same set."""
    out, page = tmp_path / "pareto.json", tmp_path / "pareto.html"
    assert run(["plan", str(EXAMPLE), "--pareto", "-o", str(out), "--report", str(page)]) == 0
    shown = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["format"] == "splitopt-pareto"
    assert found["outcome"] == "optimal"
    delays = [point["delay_s"] for point in found["points"]]
    costs = [point["cost"] for point in found["points"]]
    assert delays == sorted(delays)
    assert costs == sorted(costs, reverse=True)
    assert len(delays) >= 2
    assert "2 x large, 1 x small" in shown
    text = page.read_text()
    assert "<svg" in text
    assert "2 x large, 1 x small" in text
    assert run(["plan", str(EXAMPLE), "--pareto", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["points"] == found["points"]


def test_no_mix_is_exit_1_and_written(changed, tmp_path, capsys):
    """Machines that hold nothing have no set, and the answer says so."""
    nodes = [{"name": "tiny", "machine": "VM", "memory": "1 GiB", "price_per_hour": 1}]
    out = tmp_path / "pareto.json"
    assert run(["plan", changed(nodes=nodes), "--pareto", "-o", str(out)]) == 1
    assert "No mix (infeasible)" in capsys.readouterr().out
    assert json.loads(out.read_text())["outcome"] == "infeasible"


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        (
            {"nodes": [{"name": "a", "machine": "VM"}, {"name": "a", "machine": "VM"}]},
            [],
            "the name 'a' stands twice",
        ),
        ({"model": "vgg19-cifar"}, [], "machine 'VM' was not measured in row 21 (pool5); fill"),
        ({"pipeline": {"first_cut": 9, "last_cut": 3}}, [], "nothing is left for the nodes"),
        ({}, ["--objective", "paper"], "takes no links|knows no links"),
        ({}, ["--pareto", "--objective", "period"], "--pareto is about 'round'"),
        ({}, ["--pareto", "--problem", "cut_and_resources"], "is about 'pipeline_partition'"),
        ({}, ["--problem", "cut_and_resources"], "servers: there is none"),
        (
            {"nodes": [{"name": "vm", "machine": "VM"}]},
            ["--pareto"],
            "price_per_hour",
        ),
    ],
)
def test_bad_input_is_exit_2_and_nothing_is_written(
    changed, tmp_path, capsys, changes, arguments, words
):
    """One sentence on standard error."""
    out = tmp_path / "plan.json"
    assert run(["plan", changed(**changes), "-o", str(out), *arguments]) == 2
    said = capsys.readouterr().err
    assert any(word in said for word in words.split("|")), said
    assert said.count("\n") == 1
    assert not out.exists()


def test_infeasible_is_exit_1_and_written(changed, tmp_path, capsys):
    """Memory that is too small: the plan is written and says how many nodes would do."""
    nodes = [{"name": "vm", "machine": "VM", "memory": "32 GiB"}]
    out = tmp_path / "plan.json"
    assert run(["plan", changed(nodes=nodes), "-o", str(out)]) == 1
    assert "would do" in json.loads(out.read_text())["result"]["message"]
    assert "No plan (infeasible)" in capsys.readouterr().out
    assert run(["report", str(out)]) == 1


@pytest.mark.slow
def test_boundaries_of_a_graph_are_chosen(changed, tmp_path, capsys):
    """Every operator by default, single tensors on request; a chain has no such choice."""
    graph = {
        "model": "pipedream-squeezenet1_0",
        "nodes": [{"name": "gpu", "count": 2, "machine": "gpu"}],
        "devices": [{"name": "owner", "machine": "gpu", "samples": 256, "batch_size": 256}],
        "pipeline": {},
    }
    layers = {}
    for kind in (None, "prefixes", "cuts"):
        out = tmp_path / f"{kind}.json"
        more = [] if kind is None else ["--boundaries", kind]
        assert run(["plan", changed(**graph), "-o", str(out), *more]) == 0
        layers[kind] = len(json.loads(out.read_text())["profile"]["layers"])
    # 68 nodes in the file, of which one is the data; 34 are passed by all data
    assert layers == {None: 67, "prefixes": 67, "cuts": 34}
    capsys.readouterr()
    assert run(["plan", changed(**graph), "--boundaries", "all"]) == 2
    assert "it must be 'cuts' or 'prefixes'" in capsys.readouterr().err
    assert run(["plan", changed(), "--boundaries", "cuts"]) == 2
    said = capsys.readouterr().err
    assert "the profile 'vgg19-cifar' is no graph whose boundaries could be chosen" in said
