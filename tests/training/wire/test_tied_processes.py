"""Tied weights where every party is a process: what one process learns, with the same bytes."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.models.gpt import GPT  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.wire.launch import run_wire  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.slow]

TOKENS, WORDS, WIDTH = 6, 12, 8
WEIGHT = 4 * WORDS * WIDTH
STEPS = 2 * 3
"""Mini-batches of a client in a round: 4, 4 and 2 of its samples, twice."""
SOURCE = """
import torch
from splitopt.models.gpt import GPT


def make():
    return GPT(6, 12, width=8, heads=2, layers=2, tied=True)
"""
DEVICE = {"compute": "2 MFLOP/s", "samples": 10, "batch_size": 4}
STAR = {"servers": [{"name": "server", "compute": "100 MFLOP/s"}]}
NODES = {
    "nodes": [{"name": "one", "compute": "50 MFLOP/s"}, {"name": "two", "compute": "60 MFLOP/s"}],
    "pipeline": {"first_cut": "auto", "last_cut": "auto"},
}
OPTIONS = {
    "sgd": Options(),
    "adam": Options(optimizer="adam", learning_rate=0.01, optimizer_state="keep"),
    "codecs": Options(momentum=0.9, codec="int8", gradient_codec="topk:0.5"),
}


@pytest.fixture
def given(tmp_path):
    """Return model and data as every process finds them."""
    (tmp_path / "words.py").write_text(SOURCE)
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, WORDS, size=(40, TOKENS + 1))
    np.savez(tmp_path / "texts.npz", x=tokens[:, :-1], y=tokens[:, 1:])
    return {
        "model": f"{tmp_path / 'words.py'}:make",
        "data": str(tmp_path / "texts.npz"),
        "task": "language",
    }


def plan_of(tmp_path, sections, scheme=None, how="copies", order=None):
    model = GPT(TOKENS, WORDS, width=WIDTH, heads=2, layers=2, tied=True)
    example = torch.zeros(2, TOKENS, dtype=torch.int64)
    found = trace(model, example, tied=how, keep_all=True, name="words").profile
    found.save(tmp_path / "words.json")
    training = {"epochs": 2, "rounds": 2} | ({} if order is None else {"server_order": order})
    scenario = Scenario.from_dict(
        {
            "format": "splitopt-scenario",
            "version": 1,
            "name": "words",
            "model": {"file": str(tmp_path / "words.json")},
            "devices": [{"name": "phone", **DEVICE}, {"name": "tablet", **DEVICE}],
            "links": {"downlink": "4 Mbit/s", "uplink": "8 Mbit/s"},
            "training": training,
            **sections,
        }
    )
    return splitopt.plan(scenario, **({} if scheme is None else {"scheme": scheme}))


STARS = [
    ("splitfed_v1", None),
    ("vanilla", None),
    ("splitfed_v2", "client"),
    ("splitfed_v2", "batch"),
]


def assert_same(there, here):
    for key, value in here.model.state_dict().items():
        assert torch.equal(there.model.state_dict()[key], value), key
    assert there.history == here.history


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(("scheme", "order"), STARS, ids=["v1", "vanilla", "v2", "v2-batch"])
def test_a_server_and_devices_learn_what_one_process_learns(
    tmp_path, given, scheme, order, options
):
    """Weights bit for bit, and each byte of gradients of the weight on the connections."""
    plan = plan_of(tmp_path, STAR, scheme, order=order)
    more = {**given, "options": OPTIONS[options], "rounds": 2}
    here = splitopt.train(plan, **more)
    there = run_wire(plan, time_scale=1e-3, any_speed=True, **more)
    assert_same(there, here)
    sent = here.history.rows[0].traffic_bytes
    assert sent["tied_down"] == 2 * STEPS * WEIGHT
    assert sent["tied_up"] == 2 * (STEPS - 1) * WEIGHT
    assert there.sent_bytes["tied"] == 2 * (sent["tied_down"] + sent["tied_up"])
    assert there.sent_bytes["smashed"] == 2 * sent["smashed"]


CELL = {
    **STAR,
    "devices": [
        {"name": "phone", **DEVICE, "snr_db": 20},
        {"name": "tablet", **DEVICE, "snr_db": 8},
        {"name": "board", **DEVICE, "snr_db": 15},
    ],
    "links": {"downlink": {}, "uplink": {}},
    "spectrum": {"subcarriers": 6, "bandwidth": "200 kHz"},
    "clusters": {"sizes": [2, 1], "cut": "blocks.0"},
    "training": {"epochs": 3, "rounds": 2},
}
"""Two clusters of a cell, whose devices train three mini-batches each in a round."""


@pytest.mark.parametrize("options", OPTIONS)
def test_clusters_learn_what_one_process_learns(tmp_path, given, options):
    """Two devices of a cluster have copies that differ within a round, and the server one each."""
    plan = plan_of(tmp_path, CELL)
    assert plan.decision is not None
    more = {**given, "options": OPTIONS[options], "rounds": 2}
    here = splitopt.train(plan, **more)
    there = run_wire(plan, time_scale=1e-3, any_speed=True, **more)
    assert_same(there, here)
    sent = here.history.rows[0].traffic_bytes
    assert (sent["tied_down"], sent["tied_up"]) == (3 * 3 * WEIGHT, 3 * 2 * WEIGHT)
    assert there.sent_bytes["tied"] == 2 * (sent["tied_down"] + sent["tied_up"])


def test_a_cell_is_validated_to_the_byte(tmp_path, given):
    plan = plan_of(tmp_path, CELL)
    assert splitopt.simulate(plan).simulated_s == pytest.approx(plan.prediction["round_s"])
    found = splitopt.validate(plan, any_speed=True, time_scale=1e-3, **given)
    (row,) = [row for row in found.to_dict()["bytes"] if row["kind"] == "tied"]
    assert row["measured"] == row["predicted"] == 3 * (3 + 2) * WEIGHT


@pytest.mark.parametrize("how", ["copies", "together"])
@pytest.mark.parametrize("scheme", [None, "u_shaped"])
def test_owners_hold_both_ends(tmp_path, given, how, scheme):
    """One tensor of the owner, which no message of a node has."""
    nodes = NODES if scheme is None else {**NODES, "nodes": NODES["nodes"][:1]}
    plan = plan_of(tmp_path, nodes, how=how)
    more = {**given, "options": OPTIONS["adam"], "rounds": 2}
    here = splitopt.train(plan, **more)
    there = run_wire(plan, time_scale=1e-3, any_speed=True, **more)
    assert_same(there, here)
    assert "tied" not in there.sent_bytes


@pytest.mark.parametrize(("scheme", "order"), STARS[:3], ids=["v1", "vanilla", "v2"])
def test_what_is_measured_is_what_was_planned(tmp_path, given, scheme, order):
    plan = plan_of(tmp_path, STAR, scheme, order=order)
    found = splitopt.validate(plan, any_speed=True, time_scale=1e-3, **given)
    (row,) = [row for row in found.to_dict()["bytes"] if row["kind"] == "tied"]
    assert row["measured"] == row["predicted"] == 2 * (2 * STEPS - 1) * WEIGHT
