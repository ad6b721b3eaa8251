"""Plans of tied weights: their bytes and seconds, and what trains them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import InputError, Scenario  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.validation.planned_bytes import planned_bytes  # noqa: E402
from tests.training.tied.cases import (  # noqa: E402
    BATCH,
    EPOCHS,
    SAMPLES,
    STEPS,
    TOKENS,
    WEIGHT,
    WIDTH,
    WORDS,
    assert_equal,
    batch,
    network,
)

pytestmark = pytest.mark.train


def scenario(tmp_path, how, **sections):
    traced = trace(network(), batch(), tied=how, keep_all=True, name="tied")
    traced.profile.save(tmp_path / "tied.json")
    device = {"compute": "2 MFLOP/s", "samples": SAMPLES, "batch_size": BATCH}
    return Scenario.from_dict(
        {
            "format": "splitopt-scenario",
            "version": 1,
            "name": "texts",
            "model": {"file": str(tmp_path / "tied.json")},
            "devices": [{"name": "phone", **device}, {"name": "tablet", **device}],
            "links": {"downlink": "4 Mbit/s", "uplink": "8 Mbit/s", "shared": False},
            "training": {"epochs": EPOCHS, "rounds": 2},
            **sections,
        }
    )


STAR = {"servers": [{"name": "server", "compute": "100 MFLOP/s"}]}
NODES = {
    "nodes": [{"name": "one", "compute": "50 MFLOP/s"}, {"name": "two", "compute": "60 MFLOP/s"}],
    "pipeline": {"first_cut": "auto", "last_cut": "auto"},
}


def texts(tmp_path):
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, WORDS, size=(30, TOKENS + 1))
    np.savez(tmp_path / "texts.npz", x=tokens[:, :-1], y=tokens[:, 1:])
    return tmp_path / "texts.npz"


@pytest.mark.slow
def test_a_plan_is_trained_with_the_bytes_that_it_counts(tmp_path):
    """Plan, tally and history agree to the byte, and a run resumes bit for bit."""
    plan, data = splitopt.plan(scenario(tmp_path, "copies", **STAR)), texts(tmp_path)
    options = Options(optimizer="adam", learning_rate=0.01, optimizer_state="keep")
    given = {"task": "language", "options": options}
    run = splitopt.train(plan, network(), data, rounds=2, **given)
    sent = run.history.rows[0].traffic_bytes
    assert run.history.traffic_bytes()["tied_up"] == 2 * sent["tied_up"] > 0
    assert "tied_up_bytes" in run.history.to_csv().splitlines()[0]
    planned = planned_bytes(program_of(plan))
    assert planned == {kind: sent[kind] for kind in planned}
    assert {"tied_down", "tied_up"} <= planned.keys()
    whole = splitopt.train(plan, network(), data, rounds=2, scheme="federated", **given)
    assert_equal(run.model.state_dict(), whole.model.state_dict())
    assert "tied_up_bytes" not in whole.history.to_csv()
    kept = {"checkpoint": tmp_path / "state", **given}
    splitopt.train(plan, network(), data, rounds=1, **kept)
    resumed = splitopt.train(plan, network(), data, rounds=2, resume=True, **kept)
    assert_equal(resumed.model.state_dict(), run.model.state_dict())


@pytest.mark.slow
def test_privacy_is_not_had_with_a_weight_in_two_parts(tmp_path):
    """What its uses add up to is clipped and noised nowhere."""
    plan, data = splitopt.plan(scenario(tmp_path, "copies", **STAR)), texts(tmp_path)
    options = Options(privacy=Privacy(clip_norm=1.0, noise_multiplier=1.0, delta=1e-3))
    with pytest.raises(InputError, match=r"does not go with the weight head\.weight in two"):
        splitopt.train(plan, network(), data, rounds=1, task="language", options=options)


@pytest.mark.parametrize("scheme", [None, "u_shaped", "split_nn"])
@pytest.mark.slow
def test_the_owner_of_a_pipeline_holds_both_ends(tmp_path, scheme):
    """The chosen cuts leave both uses to the owner, and the model is what federated gives."""
    plan, data = splitopt.plan(scenario(tmp_path, "together", **NODES)), texts(tmp_path)
    given = {"task": "language", "options": Options(momentum=0.9, learning_rate=0.05)}
    run = splitopt.train(plan, network(), data, rounds=2, scheme=scheme, **given)
    sent = run.history.rows[0].traffic_bytes
    planned = planned_bytes(program_of(plan).trained_by(scheme) if scheme else program_of(plan))
    assert planned == {kind: sent[kind] for kind in planned}
    if scheme != "split_nn":
        whole = splitopt.train(plan, network(), data, rounds=2, scheme="federated", **given)
        assert_equal(run.model.state_dict(), whole.model.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("how", ["together", "copies"])
def test_a_node_with_one_of_the_ends_is_refused(tmp_path, how):
    """The message names the weight, its layers, and which cuts to take."""
    pipeline = {"pipeline": {"first_cut": "tokens", "last_cut": "blocks.0"}}
    made = splitopt.plan(scenario(tmp_path, how, **NODES | pipeline))
    assert made.decision is not None
    ends = {"pipeline": {"first_cut": 1, "last_cut": 8}}
    made = splitopt.plan(scenario(tmp_path, how, **NODES | ends))
    assert made.decision is None
    assert "tokens, head train the tied weight tokens.weight" in made.result["message"]


@pytest.mark.slow
def test_a_round_by_hand(tmp_path):
    """Eq. 12 of DP-MORA with the gradients of the weight beside the model, over own links."""
    asked = scenario(tmp_path, "copies", **STAR)
    profile, problem = asked.load_model(), splitopt.CutAndResources.from_scenario(asked)
    cut = profile.layers.index("blocks.0")
    crossing = EPOCHS * SAMPLES * TOKENS * WIDTH * 8
    model = profile.device_model_bytes[cut]
    down = 8 * (model + crossing + STEPS * WEIGHT) / 4e6
    up = 8 * (model + crossing + (STEPS - 1) * WEIGHT) / 8e6
    assert problem.download_s[0, cut] == pytest.approx(down, rel=1e-12)
    assert problem.upload_s[0, cut] == pytest.approx(up, rel=1e-12)
    last = profile.layer_count - 1  # all on the device: nothing is exchanged
    assert problem.upload_s[0, last] == pytest.approx(8 * profile.device_model_bytes[-1] / 8e6)
    plan = splitopt.plan(asked)
    assert splitopt.simulate(plan).simulated_s == pytest.approx(
        plan.prediction["round_s"], rel=1e-9
    )
    rows = {row.scheme: row for row in splitopt.compare_schemes(asked).rows}
    for name in ("sl", "sflv2"):  # the same bytes, whoever comes first
        at = profile.layers.index(rows[name].cut.partition("(")[2].rstrip(")"))
        moved = 2 * (profile.device_model_bytes[at] - model)
        moved += EPOCHS * SAMPLES * 2 * (profile.smashed_bytes[at] - TOKENS * WIDTH * 8)
        assert rows[name].traffic_bytes == 2 * (
            2 * (model + crossing) + (2 * STEPS - 1) * WEIGHT + moved
        )
    sent = 2 * (model + crossing) + (2 * STEPS - 1) * WEIGHT
    at = splitopt.profiles.ModelProfile.load(tmp_path / "tied.json").layers.index(
        rows["sflv1"].cut.partition("(")[2].rstrip(")")
    )
    assert profile.smashed_bytes[at] == profile.smashed_bytes[cut]
    differs = 2 * (profile.device_model_bytes[at] - model)
    assert rows["sflv1"].traffic_bytes == 2 * (sent + differs)


@pytest.mark.slow
def test_a_star_without_exchange_keeps_all_on_the_device(tmp_path):
    """Of the two ends one would be the server's."""
    made = splitopt.plan(scenario(tmp_path, "together", **STAR))
    last = trace(network(), batch(), tied="together", keep_all=True).profile.layer_count
    assert made.decision["cut"] == [last, last]
    compared = splitopt.compare_schemes(scenario(tmp_path, "together", **STAR))
    rows = {row.scheme: row for row in compared.rows}
    assert rows["sl"].status == rows["sflv1"].status == "infeasible"
    assert "tied weight tokens.weight" in rows["sl"].reason
