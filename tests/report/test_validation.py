"""What a measured run says, in the terminal and on its page."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from splitopt.latency.pipeline import Hops, OwnerParts, Stages
from splitopt.report.validation import as_predicted, measured_to_html, measured_to_terminal
from splitopt.simulation.pipeline import run_pipeline
from splitopt.simulation.system import PipelineSystem
from splitopt.training.validation.comparing import compare
from splitopt.training.validation.measured import BytesRow, Measured


@pytest.fixture(scope="module")
def run():
    """Return a predicted pipeline, and one measured in <lab>, whose nodes take 10 % longer."""

    def timeline(factor):
        stages = Stages(factor * np.array([1.0, 2.0]), factor * np.array([2.0, 1.0]))
        hops = Hops([1.0], [1.0])
        return run_pipeline(PipelineSystem(stages, OwnerParts(*np.ones((7, 3))), [4, 4, 4], hops))

    predicted, measured = timeline(1.0), timeline(1.1)
    traffic = (BytesRow("smashed", 1000.0, 1010.0), BytesRow("label", None, 300.0))
    facts = (("Processes", "6"),)
    return Measured(
        "<lab>",
        "pipeline_partition",
        predicted,
        measured,
        compare(predicted, measured),
        0.2,
        1,
        traffic,
        facts,
    )


def text_of(run):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(measured_to_terminal(run))
    return console.export_text()


@pytest.mark.slow
def test_the_promise_of_the_plan_stands_beside_both(run):
    """Simulated and measured seconds are held against what the plan file says, in all outputs."""
    simulated, measured = run.predicted.makespan_s, run.measured.makespan_s
    promising = replace(run, promised_s=0.8 * simulated)
    assert measured == pytest.approx(1.06 * simulated, rel=0.05)
    off = 100 * (measured / (0.8 * simulated) - 1)
    for text in (text_of(promising), measured_to_html(promising)):
        assert "Promised by the plan" in text
        assert f"{0.8 * simulated:.3f} s" in text
        assert "+25.00 %" in text
        assert f"+{off:.2f} %" in text
    found = promising.to_dict()
    assert found["promised_s"] == pytest.approx(0.8 * simulated)
    assert found["promise_relative_error"] == pytest.approx(off / 100)
    assert run.to_dict()["promise_relative_error"] is None
    assert "Promised" not in text_of(run)


@pytest.mark.slow
def test_terminal_and_page_hold_every_number(run):
    """Phases with their errors, the whole, the steps, the bytes; names are escaped on the page."""
    text, page = text_of(run), measured_to_html(run)
    for words in ("forward", "+10.00 %", "1,010", "+1.00 %", "Time scale", "Processes"):
        assert words in text
        assert words in page
    assert "&lt;lab&gt;" in page
    assert "<lab>" not in page
    assert page.count("<svg") == 1
    assert 'class="verdict good"' in page


@pytest.mark.slow
def test_both_charts_have_the_same_axis(run):
    """Predicted above measured, one axis of seconds, the end of each marked."""
    page = measured_to_html(run)
    assert page.index(">predicted<") < page.index(">measured<")
    assert page.count(">s<") == 1


@pytest.mark.slow
def test_a_slow_run_and_a_dropped_device_are_said(run):
    """A median step that is off is red; who is missing is named."""
    slow = run_pipeline_like(run, 1.5)
    validation = compare(run.predicted, slow.select(slow.owner != 1))
    found = replace(run, measured=slow, validation=validation)
    assert not as_predicted(validation)
    assert 'class="verdict bad"' in measured_to_html(found)
    assert "of owner 1 were predicted and never measured" in text_of(found)


def run_pipeline_like(run, factor):
    """Stretch a measured timeline."""
    return replace(
        run.predicted, start_s=factor * run.predicted.start_s, end_s=factor * run.predicted.end_s
    )


def test_nothing_measured_whole_is_said(run):
    """Without a single whole step there is no median, and nothing is as predicted."""
    some = run.predicted.select(run.predicted.phase == 0)
    found = replace(run, measured=some, validation=compare(run.predicted, some))
    assert "no step was measured whole" in text_of(found)
    assert not as_predicted(found.validation)


def test_json_holds_the_summary(run):
    """Numbers for machines, finite."""
    document = json.loads(json.dumps(run.to_dict(), allow_nan=False))
    assert document["time_scale"] == 0.2
    assert document["bytes"][1] == {"kind": "label", "predicted": None, "measured": 300.0}
    assert document["steps"]["count"] == 12
