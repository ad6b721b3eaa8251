"""A pipeline as MP-SL's workbook: read back, and its times added up as the plan promises."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from splitopt import CapabilityError, InputError, Scenario, plan
from splitopt.documents.sheets import sheet_rows
from splitopt.export import export_plan, import_plan
from splitopt.profiles import ModelProfile, read

pytest.importorskip("xlsxwriter", reason="needs the extra 'xlsx'")


def planned(**changes):
    """Return the plan of a pipeline without links between its nodes."""
    document = Scenario.load("digits-pipeline").to_dict()
    document["links"] = {**document["links"]}
    document["links"].pop("nodes")
    return plan(Scenario.from_dict(document | changes))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    made, folder = planned(), tmp_path_factory.mktemp("mp-sl") / "out"
    export_plan(made, folder, to="mp-sl")
    return made, folder


def table(folder, sheet):
    rows = sheet_rows(folder / "cnn-digits.xlsx", sheet)
    return np.array([[float(cell) for cell in row.cells] for row in rows])


def assignment(folder):
    with (folder / "assignment.csv").open(newline="") as stream:
        return [
            (row["host"], int(row["first layer"]), int(row["last layer"]))
            for row in csv.DictReader(stream)
        ]


def test_times_of_the_workbook_add_up_to_what_the_plan_promises(exported):
    """Forward and backward of each node over the layers that it hosts, and MP-SL's Eq. 3."""
    made, folder = exported
    rows = assignment(folder)
    assert (rows[0][0], rows[-1][0]) == ("owner", "owner")
    assert rows[0][1] == 1
    assert rows[-1][2] == len(made.profile["layers"])
    assert all(one[2] + 1 == other[1] for one, other in pairwise(rows))
    busy = []
    for (host, start, end), node in zip(rows[1:-1], made.prediction["nodes"], strict=True):
        assert host == node["name"]
        forward, backward, update = table(folder, host)[start - 1 : end].sum(axis=0) / 1e3
        assert forward == pytest.approx(node["forward_s"], rel=1e-12)
        assert backward + update == pytest.approx(node["backward_s"], rel=1e-12)
        busy.append((forward, backward + update))
    paper = sum(max(column) for column in zip(*busy, strict=True))
    assert paper == pytest.approx(made.prediction["paper_period_s"], rel=1e-12)


def test_the_workbook_is_read_as_those_of_the_authors(exported):
    """A profile of the same layers with the machine's times; and the plan as it was."""
    made, folder = exported
    assert import_plan(folder) == made
    profile = ModelProfile.from_dict(made.profile, "profile")
    batch = made.prediction["batch_size"]
    found = read(folder / "cnn-digits.xlsx", profile, batch=batch, machine="large")
    inner = slice(made.prediction["first_cut"], made.prediction["last_cut"])
    times, work = found.machines["large"], profile.layer_work()
    speed = Scenario.from_dict(made.scenario).nodes[1].compute
    speeds = {node.name: node.compute for node in Scenario.from_dict(made.scenario).nodes}
    assert speed is not None
    np.testing.assert_allclose(times.forward_s[inner], work.forward[inner] / speeds["large"])
    assert not times.measured[: inner.start].any()
    assert not times.measured[inner.stop :].any()


def test_the_sheet_of_sizes_is_in_their_units(exported):
    """KB of 1,024 bytes, activations of a batch and weights, a row for each layer."""
    made, folder = exported
    sizes = table(folder, "memory") * 1024
    outputs = np.array(made.profile["layer_output_bytes"])
    np.testing.assert_allclose(sizes[:, 0], made.prediction["batch_size"] * outputs)
    assert sizes[:, 1].sum() == pytest.approx(made.profile["device_model_bytes"][-1])


def test_what_mp_sl_cannot_say_is_refused_by_name(tmp_path, exported):
    """Other problems, links between nodes, and names that no sheet can have."""
    made, _ = exported
    for other, error, words in (
        (plan("digits-splitfed"), CapabilityError, "cut_and_resources, and MP-SL partitions"),
        (plan("digits-pipeline"), CapabilityError, "no links between nodes; plan without"),
        (renamed("Memory"), InputError, "is the name of another sheet"),
        (renamed("a" * 32), InputError, "is no name of a sheet: up to 31 characters"),
        (renamed("rack/1"), InputError, "is no name of a sheet"),
    ):
        with pytest.raises(error) as caught:
            export_plan(other, tmp_path / "out", to="mp-sl")
        assert words in str(caught.value)
    bare = {**made.profile, "layer_output_bytes": None}
    with pytest.raises(CapabilityError, match="does not say what each layer puts out"):
        export_plan(replace(made, profile=bare), tmp_path / "out", to="mp-sl")
    assert not (tmp_path / "out").exists()


def renamed(name):
    nodes = [dict(node) for node in Scenario.load("digits-pipeline").to_dict()["nodes"]]
    nodes[0]["name"] = name
    return planned(nodes=nodes)
