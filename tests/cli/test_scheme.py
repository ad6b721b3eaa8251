"""`plan --scheme` and what follows: a plan that needs no further word, and wrong input."""

from __future__ import annotations

import json

import pytest

from splitopt.cli.entry import run


def test_a_plan_of_a_scheme_is_trained_by_it(tmp_path, capsys):
    """Scheme and order of service stand in the plan; train and simulate read them there."""
    pytest.importorskip("torch", reason="needs the extra 'train'")
    path = str(tmp_path / "plan.json")
    words = ("--scheme", "splitfed_v2", "--server-order", "batch", "-o", path)
    assert run(["plan", "digits-splitfed", *words]) == 0
    assert "Scheme: SplitFedV2, batch by batch" in capsys.readouterr().out
    assert run(["simulate", path, "--json"]) == 0
    simulated = json.loads(capsys.readouterr().out)["simulated_s"]
    fast = ("--rounds", "1", "--order", "given", "--json")
    assert run(["train", path, *fast]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["history"]["origin"]["scheme"] == "splitfed_v2"
    assert found["history"]["origin"]["server_order"] == "batch"
    assert found["clock_s"] == pytest.approx(simulated)


def test_no_cut_is_exit_1_with_what_would_have_to_change(tmp_path, capsys):
    from splitopt import Scenario

    small = Scenario.load("digits-splitfed").to_dict()
    for device in small["devices"]:
        device["memory"] = "1 B"
    path = tmp_path / "small.json"
    path.write_text(json.dumps(small))
    for scheme in ("splitfed_v1", "splitfed_v2", "vanilla", "federated"):
        assert run(["plan", str(path), "--scheme", scheme]) == 1
        assert "memory of fast-1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--scheme", "splitfed_v3"), "scheme: is 'splitfed_v3', it must be one of"),
        (("--scheme", "vanilla", "--server-order", "batch"), "server_order: is for the scheme"),
        (("--server-order", "batch"), "server_order: is for the scheme splitfed_v2"),
        (("--scheme", "vanilla", "--pareto"), "--pareto and --scheme exclude each other"),
        (("--scheme", "vanilla", "--problem", "cut_and_resources"), "asks for common_cut"),
    ],
)
def test_wrong_words_are_exit_2(words, message, capsys):
    assert run(["plan", "digits-splitfed", *words]) == 2
    assert message in capsys.readouterr().err
