"""Gantt charts: what is drawn, in each format, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt import InputError
from splitopt.latency.pipeline import Hops, OwnerParts, Stages
from splitopt.report.gantt import _busy_fraction, error_text, save_gantt, usage_rows
from splitopt.report.spans import MOST_TASKS, chosen_span
from splitopt.simulation.pipeline import run_pipeline
from splitopt.simulation.replay import Forecast, Replay
from splitopt.simulation.system import PipelineSystem


@pytest.fixture(scope="module")
def replay():
    """Return a run of 6 owners with 80 batches each, which is too long to draw whole."""
    system = PipelineSystem(
        Stages([1.0, 2.0], [2.0, 1.0]),
        OwnerParts(*np.ones((7, 6))),
        np.full(6, 80),
        Hops([1.0], [1.0]),
    )
    forecast = Forecast("closed form <&>", system.closed_form_s)
    return Replay(run_pipeline(system), "an epoch", (forecast,), system.binding)


@pytest.mark.slow
def test_every_format_is_written(replay, tmp_path):
    """SVG, PNG and a page with its tables; names are escaped."""
    for suffix, start in ((".svg", "<svg"), (".html", "<!doctype html>")):
        save_gantt(replay, tmp_path / f"chart{suffix}")
        assert (tmp_path / f"chart{suffix}").read_text().startswith(start)
    page = (tmp_path / "chart.html").read_text()
    for words in ("node 0 -&gt; node 1", "closed form &lt;&amp;&gt;", "Sets the pace", "<svg"):
        assert words in page
    assert "closed form <&>" not in page
    save_gantt(replay, tmp_path / "chart.png", 0.0, 30.0)
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_a_long_timeline_is_drawn_in_part(replay):
    """By default the chart ends where it would be illegible, and it can be moved."""
    first, last = chosen_span(replay.timeline)
    shown = (replay.timeline.start_s < last).sum()
    assert first == 0
    assert 0.9 * MOST_TASKS <= shown < 2 * MOST_TASKS
    assert chosen_span(replay.timeline, 10.0, 1e9) == (10.0, replay.simulated_s)


def test_overview_adds_up(replay):
    """The shaded bins hold exactly the time that each resource was busy."""
    for index, usage in enumerate(replay.timeline.usage[:4]):
        bins = _busy_fraction(replay.timeline, index)
        assert bins.mean() * replay.simulated_s == pytest.approx(usage.busy_s)


def test_usage_rows_name_nodes_and_sum_up_owners(replay):
    """Nodes and links stand by themselves, owners in one row."""
    rows = {row["resource"]: row for row in usage_rows(replay.timeline)}
    assert set(rows) >= {"node 0", "node 1", "node 0 -> node 1", "6 x owner", "6 x owner link"}
    assert rows["node 0"]["tasks"] == "960"


def test_errors_are_signed(replay):
    """A forecast that is too low is negative, one that is right is 0."""
    exact = replay.simulated_s
    assert error_text(replay, Forecast("low", 0.9 * exact)) == "-10.00 %"
    assert error_text(replay, Forecast("right", exact)) == "0 %"


@pytest.mark.parametrize(
    ("name", "start", "end", "words"),
    [
        ("chart.pdf", None, None, "ends in .html"),
        ("chart.svg", -1.0, None, "from: is -1"),
        ("chart.svg", 1e9, None, "from: is 1e"),
        ("chart.svg", 5.0, 5.0, "to: is 5"),
    ],
)
def test_wrong_requests_are_refused(replay, tmp_path, name, start, end, words):
    with pytest.raises(InputError, match=words):
        save_gantt(replay, tmp_path / name, start, end)
    assert list(tmp_path.iterdir()) == []
