"""Replicated stages on the command line: planned, replayed, shown, and refused elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitopt.cli.entry import run

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "replicas-vgg16.yaml")


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Provide the plan of the example."""
    path = tmp_path_factory.mktemp("replicas") / "plan.json"
    assert run(["plan", EXAMPLE, "-o", str(path)]) == 0
    return path


def test_the_example_is_proved_with_a_page(planned, tmp_path, capsys):
    """The table has stage, layers, type, machines, seconds and memory of its limit."""
    page = tmp_path / "page.html"
    assert run(["report", str(planned), "-o", str(page)]) == 0
    assert "Which machines train what" in page.read_text()
    capsys.readouterr()
    assert run(["report", str(planned)]) == 0
    said = capsys.readouterr().out
    assert "Optimal by proof" in said
    assert "Stage  Layers" in said
    assert "15 GB" in said  # 16 GB less the reserve


def test_the_example_is_replayed(planned, capsys):
    """With the period that it reaches beside the promise."""
    assert run(["simulate", str(planned)]) == 0
    said = capsys.readouterr().out
    assert "Promised period: 0.036723 s" in said
    assert "Period that a full pipeline reaches" in said
    assert "a round, 32 micro-batches" in said


def test_what_is_about_a_fleet_refuses_it(capsys):
    """By the name of the section."""
    for command in (["compare", EXAMPLE], ["tradeoff", EXAMPLE], ["control", EXAMPLE]):
        assert run(command) == 2
        assert "has 'replication' and no fleet of devices" in capsys.readouterr().err
