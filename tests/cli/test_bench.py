"""``splitopt bench`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from splitopt.bench.rows import read_rows
from splitopt.cli.entry import run

BAD = Path(__file__).parents[1] / "bench" / "bad_solvers.py"


@pytest.mark.slow
def test_rows_report_and_resume(tmp_path, capsys):
    """A suite writes rows, a page and tables; the same command again finds nothing to do."""
    output, page = tmp_path / "rows.jsonl", tmp_path / "page.html"
    words = ["bench", "--solvers", "exact,equal_share", "--objectives", "sum", "-o", str(output)]
    assert run([*words, "--report", str(page)]) == 0
    shown = capsys.readouterr()
    assert "[4/4]" in shown.err
    assert "exact" in shown.out
    assert page.read_text().startswith("<!doctype html>")
    rows = read_rows(output)
    assert len(rows) == 4
    assert {row.status for row in rows} == {"ok"}
    before = output.read_bytes()
    assert run([*words, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 4
    assert output.read_bytes() == before
    assert run(["bench", "--compare", str(output), str(output), "--json"]) == 0
    json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_a_liar_makes_the_exit_code_1(capsys):
    """A benchmark in which somebody lied ends with 1 and says who."""
    words = ["bench", "--solvers", "exact,lies_about_objective", "--solver-file", str(BAD)]
    assert run([*words, "--objectives", "sum"]) == 1
    assert "lies_about_objective seed 0: LIED, says the objective" in capsys.readouterr().err


@pytest.mark.slow
def test_check_solver(capsys):
    """The conformance suite names what fails and what passes."""
    assert run(["bench", "--check-solver", "equal_share"]) == 0
    assert capsys.readouterr().out.strip().endswith("conforms")
    words = ["bench", "--check-solver", "lies_about_bound", "--solver-file", str(BAD)]
    assert run(words) == 1
    shown = capsys.readouterr().out
    assert "failed   bound is not above the optimum" in shown
    assert "does not conform" in shown
    assert run([*words, "--json"]) == 1
    checks = json.loads(capsys.readouterr().out)
    assert {"name", "instance", "objective", "status", "message"} == checks[0].keys()


@pytest.mark.slow
def test_check_an_answer(tmp_path, capsys):
    """The answer to a generated instance is accepted, a spoilt one rejected."""
    from splitopt import solve
    from splitopt.bench.instances.suites import find_instance

    name = "uniform-devices4-layers5-seed0"
    path = tmp_path / "mine.json"
    result = solve(find_instance(name).load("sum"), "exact")
    result.save(path)
    words = ["bench", "--check", str(path), "--instance", name]
    assert run(words) == 0
    assert capsys.readouterr().out.startswith("accepted: feasible, sum 103.37")
    document = json.loads(path.read_text())
    document["objective"] *= 0.9
    path.write_text(json.dumps(document))
    assert run([*words, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["accepted"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--suite", "slow"], "suite: is 'slow'"),
        (["--solvers", "nobody"], "solver 'nobody' is unknown"),
        (["--objectives", "beauty"], "no run is left"),
        (["--problems", "sudoku"], "problem 'sudoku' has no benchmark"),
        (["--engine", "abacus"], "engine: is 'abacus'"),
        (["--solver-file", "none.py"], "there is no such file"),
        (["--instances", "nowhere"], "there is no such folder"),
        (["--check", "a.json"], "--check needs --instance"),
        (["-o", "nowhere/rows.jsonl"], "does not exist"),
        (["--solvers", "exact,exact:max_nodes=null"], "is named twice"),
    ],
)
def test_wrong_words_are_one_sentence(words, message, tmp_path, monkeypatch, capsys):
    """What cannot be done ends with 2 and one sentence, before anything runs."""
    monkeypatch.chdir(tmp_path)
    assert run(["bench", *words]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert len(shown.strip().splitlines()) == 1
