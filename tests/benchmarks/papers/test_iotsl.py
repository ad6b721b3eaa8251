"""IoTSL's arithmetic: committed tables are current, and published numbers come out."""

from __future__ import annotations

import pytest

from benchmarks.papers.iotsl import __main__ as command
from benchmarks.papers.iotsl import arithmetic, published
from benchmarks.papers.iotsl.energy import fit
from splitopt import Scenario


@pytest.fixture(scope="module")
def made():
    return {table.name: table for table in arithmetic.tables()}


def test_committed_tables_are_current(made):
    for name, table in made.items():
        assert table.markdown() == (command.RESULTS / f"{name}.md").read_text(), name
        assert table.csv() == (command.RESULTS / f"{name}.csv").read_text(), name


def test_published_numbers_come_out(made):
    """2.92e10 and 4.52e9, 84.54 to 84.52 %, 70.1 % in place of 70.3 %, 1,443 and 289 steps."""
    cells = {(row[0], row[1]): row[3] for row in made["traffic"].rows[:6]}
    assert cells["MNIST", "split learning, numbers"] == "2.92e+10"
    assert cells["", "IoTSL, numbers"] == "4.52e+09"
    assert cells["", "saved %"] == "84.54"
    assert cells["", "saved %, with five generators and theta_a"] == "84.52"
    assert made["traffic"].rows[8][2:4] == ["70.3", "70.13"]
    steps = {row[4]: row[6] for row in made["break-even"].rows[:2]}
    assert steps == {"one": "1,443", "five": "289"}
    assert [row[3] for row in made["energy"].rows] == ["2,134", "2,113", "2,221", "2,135"]


def test_two_powers_fit_the_four_totals():
    """Within 3 %, and they divide a turn as Fig. 3 does."""
    found = fit()
    for data in published.DATA:
        for turns, joule in zip(data.turns, data.joule, strict=True):
            assert turns * found.turn_j == pytest.approx(joule, rel=0.03)
    computing = found.compute_w * found.computing_s
    assert found.turn_j / computing - 1 == pytest.approx(published.RADIO_MORE)


def test_the_shipped_scenario_has_the_fit():
    """Rounded to two digits."""
    found, device = fit(), Scenario.load("iotsl-mnist").devices[0]
    assert device.compute == pytest.approx(found.speed, rel=0.01)
    assert device.compute_power == pytest.approx(found.compute_w, rel=0.01)
    assert device.transmit_power == pytest.approx(found.radio_w, rel=0.01)


def test_the_command_writes_the_parts_that_are_asked_for(tmp_path, capsys):
    assert command.main([str(tmp_path), "--parts", "arithmetic"]) == 0
    assert (tmp_path / "whole.csv").read_text() == (command.RESULTS / "whole.csv").read_text()
    with pytest.raises(SystemExit):
        command.main(["--parts", "nothing"])
    assert "nothing" in capsys.readouterr().err
