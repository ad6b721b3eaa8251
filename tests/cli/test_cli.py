"""The command line as a user meets it: exit codes, files, one-sentence errors."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from splitopt import Plan
from splitopt.cli.entry import run
from splitopt.cli.options import OTHER_FLAGS
from splitopt.solvers import SOLVERS, solver_class


@pytest.fixture
def scenario_file(tmp_path, scenario_document):
    path = tmp_path / "lab.yaml"
    path.write_text(yaml.safe_dump(scenario_document))
    return path


@pytest.fixture
def instance_file(tmp_path, recovered_instance):
    path = tmp_path / "known.json"
    path.write_text(json.dumps(recovered_instance))
    return path


def call(capsys, *arguments):
    """Run the command line; give exit code, standard output and standard error."""
    code = run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def error_of(capsys, code, *arguments):
    """Run a call that must fail with `code` and one line of error; give that line."""
    found, _, err = call(capsys, *arguments)
    lines = err.strip().splitlines()
    assert found == code, err
    assert len(lines) == 1, err
    assert lines[0].startswith("splitopt: error: ")
    return lines[0]


def test_plan_prints_and_writes(capsys, tmp_path, scenario_file):
    """`plan` prints the table, and writes the plan file and the page."""
    page, saved = tmp_path / "page.html", tmp_path / "plan.json"
    code, out, err = call(capsys, "plan", scenario_file, "-o", saved, "--report", page)
    assert (code, err) == (0, "")
    for words in ("pi (2)", "laptop", "Optimal by proof", "Bottleneck", "saves", "Round time"):
        assert words in out
    assert Plan.load(saved).result["outcome"] == "optimal"
    assert page.read_text().startswith("<!doctype html>")


def test_plan_as_json_is_the_plan(capsys, scenario_file):
    """`--json` prints the same document that `-o` writes."""
    code, out, _ = call(capsys, "plan", scenario_file, "--json")
    assert code == 0
    assert Plan.from_dict(json.loads(out)).is_feasible


def test_report_of_a_plan(capsys, tmp_path, scenario_file):
    """`report` needs nothing but the plan: it prints the table again or writes the page."""
    saved, page = tmp_path / "plan.json", tmp_path / "page.html"
    first = call(capsys, "plan", scenario_file, "-o", saved)[1]
    scenario_file.unlink()
    code, out, _ = call(capsys, "report", saved)
    claim = "the bound is as the file states it"
    assert (code, out.partition(f"Note: {claim}")[0]) == (0, first)
    assert claim in " ".join(out.split())
    assert call(capsys, "report", saved, "-o", page)[0] == 0
    assert "Who cuts where" in page.read_text()
    rows = tmp_path / "rows.csv"
    assert call(capsys, "report", saved, "--csv", rows) == (0, "", "")
    with rows.open(newline="") as stream:
        found = list(csv.DictReader(stream))
    planned = Plan.load(saved).rows()
    assert [row["name"] for row in found] == [row["name"] for row in planned]
    assert [float(row["server [s]"]) for row in found] == [row["server_s"] for row in planned]
    assert call(capsys, "report", saved, "--csv", saved)[0] == 2


@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_solve_the_known_instance(capsys, tmp_path, instance_file, recovered_instance, objective):
    """`solve` reaches the recorded optimum of the published setting and writes the result."""
    saved = tmp_path / "result.json"
    code, out, _ = call(capsys, "solve", instance_file, "--objective", objective, "-o", saved)
    result = json.loads(saved.read_text())
    known = recovered_instance["expected"][objective]
    assert code == 0
    assert "outcome    optimal (proved)" in out
    assert result["objective"] == pytest.approx(known["objective"], rel=1e-9)
    assert result["decision"]["cut"] == known["cut"]
    assert result["gap"] <= 1e-9


def test_infeasible_is_written_with_exit_code_1(capsys, tmp_path, scenario_document):
    """A leakage limit that no cut meets: exit 1, the plan written, devices and limit named."""
    scenario_document["privacy"] = {"leakage_limit": 0.001}
    path, saved = tmp_path / "strict.yaml", tmp_path / "plan.json"
    path.write_text(yaml.safe_dump(scenario_document))
    code, out, _ = call(capsys, "plan", path, "-o", saved)
    assert code == 1
    assert "No plan (infeasible)" in out
    document = json.loads(saved.read_text())
    assert document["result"]["outcome"] == "infeasible"
    assert document["decision"] is None
    for words in ("pi-1", "laptop", "lowest that can be reached"):
        assert words in document["result"]["message"]
    assert call(capsys, "report", saved)[0] == 1


def test_infeasible_instance_is_written_with_exit_code_1(capsys, tmp_path, recovered_instance):
    """An instance with a device that may not cut anywhere has a result that says so."""
    recovered_instance["data"]["allowed"][3] = [False] * 10
    path, saved = tmp_path / "instance.json", tmp_path / "result.json"
    path.write_text(json.dumps(recovered_instance))
    code, out, _ = call(capsys, "solve", path, "-o", saved)
    assert code == 1
    assert "infeasible" in out
    assert json.loads(saved.read_text())["outcome"] == "infeasible"


def test_time_limit_zero_gives_a_first_plan(capsys, instance_file):
    """With no time at all there is still a feasible answer."""
    code, out, _ = call(capsys, "solve", instance_file, "--time-limit", "0", "--json")
    assert code == 0
    assert json.loads(out)["outcome"] in ("feasible", "optimal")


BAD_SCENARIOS = [
    ("links: [", "is not YAML"),
    ("just text", "must be an object"),
    ("", "must be an object"),
    ("format: splitopt-scenario\nversion: 3", "version is 3"),
]


@pytest.mark.parametrize(("text", "words"), BAD_SCENARIOS)
def test_a_file_that_is_no_scenario(capsys, tmp_path, text, words):
    """What is not a scenario is refused with exit code 2, and nothing is written."""
    path, saved = tmp_path / "bad.yaml", tmp_path / "plan.json"
    path.write_text(text)
    assert words in error_of(capsys, 2, "plan", path, "-o", saved)
    assert not saved.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["links"].update(downlink="100 Mbit"), "'100 Mbit'"),
        (lambda d: d["links"].update(downlink="-1 Mbit/s"), "above 0"),
        (lambda d: d["links"].update(downlink="nan Mbit/s"), "finite"),
        (lambda d: d.pop("servers"), "servers: this field is missing"),
        (lambda d: d.update(model="resnet-9000"), "resnet-9000"),
        (lambda d: d["devices"].append(d["devices"][1]), "'laptop' stands twice"),
        (lambda d: d.update(devices=[]), "devices: is empty"),
        (lambda d: d.update(model={"file": "none.json"}), "no such file"),
    ],
)
def test_bad_fields_are_exit_code_2(capsys, tmp_path, scenario_document, change, words):
    """A wrong field is one sentence that names it, with exit code 2."""
    change(scenario_document)
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(scenario_document))
    assert words in error_of(capsys, 2, "plan", path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan"], "Missing argument"),
        (["fly"], "No such command"),
        (["plan", "{scenario}", "--objective", "median"], "objective is 'median'"),
        (["plan", "{scenario}", "--problem", "tsp"], "problem is 'tsp'"),
        (["plan", "{scenario}", "--solver", "magic"], "solver 'magic' is unknown"),
        (["plan", "{scenario}", "--time-limit", "-1"], "--time-limit"),
        (["plan", "{scenario}", "--seed", "x"], "--seed"),
        (["plan", "{scenario}", "-O", "nonsense"], "must be KEY=VALUE"),
        (["plan", "{scenario}", "-O", "depth=1", "--solver", "enumerate"], "no option 'depth'"),
        (["plan", "{scenario}", "-o", "/"], "it is a folder"),
        (["plan", "{scenario}", "-o", "no/such/folder/plan.json"], "does not exist"),
        (["plan", "{scenario}", "--report", "no/such/folder/page.html"], "does not exist"),
        (["plan", "{scenario}", "-o", "{scenario}"], "is the input"),
        (["plan", "missing.yaml"], "no such file"),
        (["solve", "missing.json"], "no such file"),
        (["solve", "{scenario}"], "is not JSON"),
        (["report", "{scenario}"], "is not JSON"),
        (["solvers", "--problem", "tsp"], "problem is 'tsp'"),
    ],
)
def test_wrong_calls_are_exit_code_2(capsys, scenario_file, arguments, words):
    """Whatever is mistyped ends in one sentence."""
    filled = [argument.format(scenario=scenario_file) for argument in arguments]
    assert words in error_of(capsys, 2, *filled)


def test_a_solver_that_cannot_is_exit_code_1(capsys, tmp_path, scenario_document):
    """A refused solver names those that would work."""
    scenario_document["devices"][0]["count"] = 30
    path = tmp_path / "many.yaml"
    path.write_text(yaml.safe_dump(scenario_document))
    assert "would work: exact" in error_of(capsys, 1, "plan", path, "--solver", "enumerate")


def test_several_mistakes_are_several_lines(capsys, tmp_path, scenario_document):
    """A list of mistakes has a line for each; what a file says makes no further line."""
    scenario_document["links"]["uplink"] = "100 mbit/s"
    scenario_document["devices"][0]["sampels"] = 5
    scenario_document["na\nsplitopt: error: me"] = 1
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(scenario_document))
    code, out, err = call(capsys, "plan", path)
    head, *rest = err.splitlines()
    assert (code, out) == (2, "")
    assert head == f"splitopt: error: {path}: 3 mistakes:"
    assert len(rest) == 3
    assert all(line.startswith("  line ") for line in rest)


def test_solvers_lists_what_is_there(capsys):
    """Every registered solver is listed with its objectives and readiness."""
    code, out, _ = call(capsys, "solvers", "--json")
    rows = json.loads(out)
    assert code == 0
    exact = next(row for row in rows if row["solver"] == "exact")
    assert exact["objectives"] == ["makespan", "sum"]
    assert exact["ready"] == "yes"
    assert "exact" in call(capsys, "solvers")[1]


def test_schema_is_json(capsys):
    """`schema` prints a JSON Schema."""
    code, out, _ = call(capsys, "schema")
    assert code == 0
    assert json.loads(out)["$schema"].startswith("https://json-schema.org")


@pytest.mark.parametrize("verb", ["plan", "solve", "solvers", "report", "schema", "train"])
def test_every_verb_has_help_with_an_example(capsys, verb):
    """`--help` exists for every verb and shows a call."""
    code, out, _ = call(capsys, verb, "--help")
    assert code == 0
    assert f"splitopt {verb}" in out
    assert "Example" in out


def test_help_behind_a_flag_that_wants_a_value(capsys, tmp_path, monkeypatch):
    """It is no name of a file: nothing is written, and help is shown."""
    monkeypatch.chdir(tmp_path)
    for arguments in (["bench", "--make-library", "--help"], ["plan", "-o", "--help", "x.yaml"]):
        code, out, _ = call(capsys, *arguments)
        assert code == 0
        assert f"Usage: splitopt {arguments[0]}" in out
    code, _, err = call(capsys, "plan", "dp-mora-resnet18", "-o", "--report")
    assert code == 2
    assert "--report: looks like a flag; write ./--report" in err
    assert list(tmp_path.iterdir()) == []


def test_version(capsys):
    """`--version` prints the version."""
    code, out, _ = call(capsys, "--version")
    assert code == 0
    assert out.startswith("splitopt 0.")


@pytest.mark.slow
def test_a_closed_pipe_is_no_traceback(scenario_file):
    """`splitopt plan ... | head` ends quietly."""
    command = f"{sys.executable} -m splitopt plan {scenario_file} | true"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stderr == ""


def test_an_internal_error_is_one_line(capsys, scenario_file, monkeypatch):
    """Even a bug of ours ends in a sentence, unless the traceback is asked for."""

    def broken(*arguments, **options):
        raise AssertionError("impossible")

    monkeypatch.setattr("splitopt.planning.planner.solve", broken)
    monkeypatch.delenv("SPLITOPT_DEBUG", raising=False)
    assert "this is a bug in splitopt" in error_of(capsys, 1, "plan", scenario_file)
    monkeypatch.setitem(os.environ, "SPLITOPT_DEBUG", "1")
    with pytest.raises(AssertionError):
        run(["plan", str(scenario_file)])


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("seed=3", "'seed': is no option of a solver; --seed sets it"),
        ("time_limit_s=3", "--time-limit sets it"),
        ("rel_gap=0", "--gap sets it"),
        ("solver=exact", "--solver sets it"),
        ("problem=x", "--problem sets it"),
        ("callback=x", "'callback': is no option of a solver"),
    ],
)
@pytest.mark.parametrize("verb", ["solve", "plan"])
def test_an_option_that_is_another_flag(capsys, instance_file, scenario_file, verb, option, words):
    """What another flag sets, or no solver has, is refused as an option of the solver."""
    file = instance_file if verb == "solve" else scenario_file
    assert words in error_of(capsys, 2, verb, file, "-O", option)


def test_an_option_that_is_given_twice(capsys, instance_file):
    """An engine is named by its flag or as an option, and not by both."""
    given = ("solve", instance_file, "--workers", "1", "-O", "workers=2")
    assert "--workers sets it" in error_of(capsys, 2, *given)


def test_no_solver_has_an_option_that_another_flag_sets():
    """The names that are refused as options are fields of no solver."""
    found = [solver_class(problem, name) for problem, known in SOLVERS.items() for name in known]
    assert not {field.name for kind in found for field in fields(kind)} & {*OTHER_FLAGS}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "dp-mora-resnet18",
            "a shipped scenario, .*'splitopt plan dp-mora-resnet18' answers it",
        ),
        ("cpsl-five-identical", "instance file .* is .*cluster_and_spectrum/cpsl-five-identical"),
        ("identical-devices1000-seed0", "is drawn anew by the suites of 'splitopt bench'"),
        ("dp-mora-resnet81", "no such file; .*; did you mean 'dp-mora-resnet18'"),
        ("cpsl-five-identicl", "no such file; .*; did you mean 'cpsl-five-identical'"),
        ("zzz", r"no such file; 'splitopt solve' takes an instance file \(.json or .npz\)$"),
        ("zzz.json", "zzz.json: there is no such file$"),
    ],
)
def test_solve_of_a_name(capsys, name, words):
    """A name that is no file is refused with what it is, or what was meant."""
    assert re.search(words, error_of(capsys, 2, "solve", name))


def test_solve_of_a_file_that_is_called_like_a_scenario(
    capsys, tmp_path, monkeypatch, recovered_instance
):
    """What a file is called does not matter where there is one."""
    monkeypatch.chdir(tmp_path)
    Path("dp-mora-resnet18").write_text(json.dumps(recovered_instance))
    assert call(capsys, "solve", "dp-mora-resnet18")[0] == 0
