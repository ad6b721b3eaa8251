"""Pages and pictures of trainings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from splitopt import InputError
from splitopt.report.training import (
    save_plot,
    summarize_training,
    training_figure,
    training_to_html,
)
from splitopt.training.history import History, RoundRow

ORIGIN = {
    "scenario": "lab",
    "profile": "net",
    "scheme": "vanilla",
    "planned_scheme": "clustered",
    "data_name": "digits",
    "partition": "iid",
    "seed": 3,
    "plan": "abc",
}


def history(rounds, clock=True):
    rows = tuple(
        RoundRow(
            n,
            2.0 / n,
            8,
            accuracy=0.1 * min(n, 9),
            test_loss=2.5 / n,
            round_s=2.0 if clock else None,
            clock_s=2.0 * n if clock else None,
            phases_s={"upload": 1.5, "server": 0.5} if clock else {},
            traffic_bytes={"smashed": 1000, "model_up": 500},
        )
        for n in range(1, rounds + 1)
    )
    return History(rows, ORIGIN)


def test_one_training():
    """Verdict, facts, and tables whose sums are those of the rounds."""
    summary = summarize_training({"": history(30)}, "patience")
    assert summary.verdict.startswith("Stopped after 30 rounds")
    assert "90 % after round 9" in summary.verdict
    assert dict(summary.facts)["Planned for"].startswith("clustered, trained by vanilla")
    rounds, phases, sent = summary.tables
    assert [row["round"] for row in (rounds.rows[0], rounds.rows[-1])] == ["1", "30"]
    assert "6 rounds are left out" in rounds.caption
    assert phases.rows[0] == {"phase": "upload", "seconds": "45.000", "part": "75"}
    assert [row["kind"] for row in sent.rows] == ["smashed data", "models from the devices"]


@pytest.mark.parametrize("rounds", [1, 2, 4, 30])
def test_the_axis_counts_whole_rounds(rounds):
    """No tick lies between two rounds."""
    figure = training_figure({"": history(rounds)})
    figure.canvas.draw()
    for axes in figure.axes[:2]:
        assert axes.get_xlabel() == "round"
        assert all(float(tick).is_integer() for tick in axes.get_xticks())


@pytest.mark.slow
def test_without_a_clock_there_is_no_time():
    """Neither a panel nor a table of it."""
    page = training_to_html({"": history(3, clock=False)})
    assert "predicted time in s" not in page
    assert "Time by phase" not in page
    assert "predicted time in s" in training_to_html({"": history(3)})


@pytest.mark.slow
def test_names_are_neither_markup_nor_mathematics(tmp_path):
    """Several trainings have a legend; what users name stays as it is."""
    named = {"$a_b$": history(3), "<i>": history(1)}
    save_plot(named, tmp_path / "p.svg")
    drawing = (tmp_path / "p.svg").read_text()
    assert "$a_b$" in drawing
    assert "&lt;i&gt;" in drawing
    odd = replace(history(1), origin={**ORIGIN, "scenario": "<script>odd"})
    assert "<script>odd" not in training_to_html({"": odd})


def test_nothing_done_yet_is_drawn_too(tmp_path):
    """An interrupted first round leaves no row."""
    save_plot({"": History(origin=ORIGIN)}, tmp_path / "p.html", "interrupted")
    assert "Interrupted after 0 whole rounds" in (tmp_path / "p.html").read_text()
    with pytest.raises(InputError, match="a plot ends in"):
        save_plot({"": history(1)}, tmp_path / "p.pdf")
