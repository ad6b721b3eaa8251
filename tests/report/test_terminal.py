"""A plan in the terminal: alike devices as one row, or each by itself."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console

from splitopt import Scenario, plan
from splitopt.cli.entry import run
from splitopt.report import plan_to_html, plan_to_terminal

GIVEN = {
    "format": "splitopt-scenario",
    "version": 1,
    "name": "many",
    "model": "dp-mora-resnet18-recovered",
    "devices": [
        {"name": "pi", "count": 6, "compute": "3.62 GFLOP/s", "samples": 3000},
        {"name": "nano", "compute": "6 GFLOP/s", "samples": 3000},
    ],
    "servers": [{"name": "s", "compute": "100 GFLOP/s"}],
    "links": {"uplink": {"rate": "10 Mbit/s"}, "downlink": {"rate": "10 Mbit/s"}},
    "training": {"rounds": 3},
}


def text_of(found, **how):
    console = Console(file=io.StringIO(), width=160)
    console.print(plan_to_terminal(found, **how))
    return console.file.getvalue()


def rows_of(text):
    """Return the rows of devices: name -> all numbers behind it."""
    lines = text.partition("Optimal by proof")[0].splitlines()[3:]
    found = {}
    for line in lines:
        name, _, rest = line.partition("  ")
        found[name.strip()] = [float(x.replace(",", "")) for x in re.findall(r" ([\d,.]+)", rest)]
    return found


@pytest.fixture(scope="module")
def made():
    return plan(Scenario.from_dict(GIVEN))


def test_alike_devices_are_one_row(made):
    """Six that do the same have a row, with their shares together and the seconds of each."""
    together = rows_of(text_of(made))
    assert list(together) == ["pi (6)", "nano"]
    single = rows_of(text_of(made, every_device=True))
    assert list(single) == [*(f"pi-{number}" for number in range(1, 7)), "nano"]
    assert together["nano"] == single["nano"]
    down, up, server, *seconds = together["pi (6)"][-8:]
    each = single["pi-1"][-8:]
    assert each[3:] == seconds
    shares = [row["download_share"] for row in made.prediction["devices"][:6]]
    assert down == pytest.approx(100 * sum(shares), abs=0.06)
    for shown, one in zip((down, up, server), each, strict=False):
        assert shown == pytest.approx(6 * one, abs=6 * 0.06)


def test_the_terminal_and_the_page_have_the_same_rows(made):
    """Neither has a row for one of the six."""
    page = plan_to_html(made)
    table = page.partition("Who cuts where")[2].partition("</table>")[0]
    for name in rows_of(text_of(made)):
        assert name in table
    assert "pi-2" not in text_of(made)


def test_every_device_is_an_option_of_plan_and_report(tmp_path, capsys):
    """Of both commands, in the terminal alone: the file is the same."""
    path, saved = tmp_path / "many.json", tmp_path / "plan.json"
    path.write_text(json.dumps(GIVEN))
    assert run(["plan", str(path), "-o", str(saved)]) == 0
    assert "pi (6)" in capsys.readouterr().out
    before = json.loads(saved.read_text())["prediction"]
    assert run(["plan", str(path), "--every-device", "-o", str(saved)]) == 0
    out = capsys.readouterr().out
    assert "pi-6" in out
    assert "pi (6)" not in out.partition("Optimal")[0]
    assert json.loads(saved.read_text())["prediction"] == before
    for flags, there in (([], "pi (6)"), (["--every-device"], "pi-6")):
        assert run(["report", str(saved), *flags]) == 0
        assert there in capsys.readouterr().out
