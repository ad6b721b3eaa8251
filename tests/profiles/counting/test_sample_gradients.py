"""What single samples' gradients add to a profile, against what a real step keeps and computes."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest

from splitopt import Scenario, plan
from splitopt.errors import InfeasibleError, InputError
from splitopt.problems.pipeline_partition import PipelinePartition
from splitopt.problems.pipeline_partition.tables import Cuts, owner_memory
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.memory import server_parts
from splitopt.profiles.counting.sample_gradients import with_sample_gradients
from splitopt.profiles.published.traced import traced_profile


def test_by_hand():
    """The first layer of `cnn` has 80 parameters; it saves 2304 bytes of a sample."""
    before = traced_profile("cnn-digits")
    after = with_sample_gradients(before)
    assert after.device_memory_per_sample_bytes[0] == 2 * 2304 + 320
    assert after.device_backward_flop[0] == 9216 + 9216 + 4 * 80
    # 72 of 8 x 3 x 3, 8 of a bias; 16 x 8 x 3 x 3 + 16; 64 x 64 + 64; 64 x 10 + 10
    parameters = 80 + 1168 + 4160 + 650
    assert after.device_memory_per_sample_bytes[-1] == 2 * 5888 + 4 * parameters
    assert after.device_backward_flop[-1] == 101888 + 55552 + 4 * parameters
    same = replace(
        after,
        device_backward_flop=before.device_backward_flop,
        device_memory_per_sample_bytes=before.device_memory_per_sample_bytes,
        sample_gradients=False,
        provenance=before.provenance,
    )
    assert same == before
    assert with_sample_gradients(after) is after
    assert ModelProfile.from_dict(after.to_dict(), "again") == after


def test_of_the_servers_part_by_hand():
    """Behind the fourth layer of `cnn`: two linear ones, of 64 x 64 + 64 and 64 x 10 + 10."""
    before = traced_profile("cnn-digits")
    after = with_sample_gradients(before, "model")
    trained = 4 * (4160 + 650)
    forward = before.server_forward_flop[3]
    assert after.server_backward_flop[3] == before.server_backward_flop[3] + forward + trained
    assert after.server_backward_flop[-1] == 0
    (fixed, plain), (same, private) = server_parts(before), server_parts(after)
    assert np.array_equal(fixed, same)
    assert plain[3] == before.layer_saved_bytes[4:].sum()
    assert private[3] == 2 * plain[3] + trained
    assert private[-1] == 0
    on_devices = with_sample_gradients(before)
    assert with_sample_gradients(on_devices, "model") == after
    assert with_sample_gradients(after, "model") is with_sample_gradients(after) is after
    assert ModelProfile.from_dict(after.to_dict(), "again") == after
    for name in ("device_backward_flop", "device_memory_per_sample_bytes"):
        assert np.array_equal(getattr(after, name), getattr(on_devices, name))


@pytest.mark.train
@pytest.mark.parametrize(
    ("network", "shape", "cut", "place"),
    [
        ("cnn", (1, 28, 28), 5, 0),
        ("cnn", (1, 28, 28), 2, 1),
        ("vgg11", (3, 32, 32), 14, 0),
        ("vgg11", (3, 32, 32), 3, 1),
    ],
)
@pytest.mark.one_quick
def test_memory_is_what_a_step_keeps(network, shape, cut, place):
    """The most bytes of all tensors that live at once, against the profile with 16 samples.

    Of the device's part (place 0) and of the server's, large enough for what lives for a moment
    inside of an operator to be little beside it.
    """
    torch = pytest.importorskip("torch", reason="needs the extra 'train'")
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    from splitopt.models import build
    from splitopt.profiles import trace
    from splitopt.training.model_parts.parts import Part
    from splitopt.training.privacy.guard import clip_factors, norms_of
    from splitopt.training.privacy.per_sample import per_sample_gradients

    class Peak(TorchDispatchMode):
        """Adds up the storages that operators make, for as long as they live."""

        now = most = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for tensor in tree_leaves(result):
                if isinstance(tensor, torch.Tensor):
                    storage = tensor.untyped_storage()
                    if storage._cdata not in seen:
                        seen.add(storage._cdata)
                        self.now += storage.nbytes()
                        self.most = max(self.most, self.now)
                        weakref.finalize(storage, self.forget, storage._cdata, storage.nbytes())
            return result

        def forget(self, key, size):
            seen.discard(key)
            self.now -= size

    seen = set()
    model, samples = build(network, shape), 16
    batch = torch.randn(samples, *shape)
    traced = trace(model, batch[:2], keep_all=True)
    profile = with_sample_gradients(traced.profile, "model")
    first, second = traced.segments([cut])
    part = Part((first, second)[place], lambda some: torch.optim.SGD(some, lr=0.1))
    if place:
        with torch.no_grad():
            batch = first(batch)
    with Peak() as measured:
        held = part.forward(batch, first=not place)
        own = per_sample_gradients(part, held, torch.ones_like(held.result), set())
        factors = clip_factors([norms_of(own)], 1.0)
        total = [torch.tensordot(factors, value, dims=1) for value in own.values()]
    assert total
    parameters = sum(p.nbytes for p in part.module.parameters())  # which were there before
    found = measured.most + parameters + (batch.nbytes if place else 0)
    if place:
        (fixed, each), (_, plain) = server_parts(profile), server_parts(traced.profile)
    else:
        fixed = profile.device_memory_fixed_bytes
        each = profile.device_memory_per_sample_bytes
        plain = traced.profile.device_memory_per_sample_bytes
    wanted = fixed[cut - 1] + samples * each[cut - 1]
    without = fixed[cut - 1] + samples * plain[cut - 1]
    assert found == pytest.approx(wanted, rel=0.25)
    assert wanted > 2 * without


def document(memory=None):
    """Return the small shipped fleet, with the memory of its devices."""
    found = Scenario.load("digits-splitfed").to_dict()
    for device in found["devices"]:
        if memory is not None:
            device["memory"] = memory
    found["privacy"] = {"per_sample_gradients": True}
    return found


def test_plan_says_the_largest_batch_that_fits():
    """That batch fits and one more does not, by planning with them."""
    given = document("100 kB")
    found = plan(Scenario.from_dict(given))
    assert any("with a gradient for each sample" in note for note in found.notes)
    row = found.prediction["devices"][0]
    at = row["cut"] - 1
    profile = with_sample_gradients(traced_profile("cnn-digits"))
    wanted = (100_000 - profile.device_memory_fixed_bytes[at]) // (
        profile.device_memory_per_sample_bytes[at]
    )
    assert row["largest_batch"] == wanted
    given["devices"][0]["batch_size"] = int(wanted)
    assert plan(Scenario.from_dict(given)).prediction["devices"][0]["cut"] == row["cut"]
    given["devices"][0]["batch_size"] = int(wanted) + 1
    other = plan(Scenario.from_dict(given)).prediction
    assert other is None or other["devices"][0]["cut"] != row["cut"]


def test_where_nothing_fits_the_batch_that_would_is_named():
    given = document("30 kB")
    found = plan(Scenario.from_dict(given))
    assert found.decision is None
    words = found.result["message"]
    largest = int(words.split("the largest batch that fits has ")[1])
    assert 1 <= largest < 16
    for device in given["devices"]:
        device["batch_size"] = largest
    assert plan(Scenario.from_dict(given)).is_feasible


def test_the_largest_batch_that_the_server_has_room_for():
    """That batch fits beside the others' and one more does not, by planning with them."""
    given = document()
    given["privacy"] = {"per_sample_gradients": "model"}
    given["servers"][0]["memory"] = "6 MB"
    found = plan(Scenario.from_dict(given))
    assert any("of all parts are those with a gradient for each" in note for note in found.notes)
    row = found.prediction["devices"][0]
    assert row["largest_batch"] > 16
    profile = with_sample_gradients(traced_profile("cnn-digits"), "model")
    fixed, each = server_parts(profile)
    at = [cut - 1 for cut in found.decision["cut"]]
    others = sum(fixed[cut] + 16 * each[cut] for cut in at[1:])
    assert row["largest_batch"] == (6e6 - others - fixed[at[0]]) // each[at[0]]


def test_where_the_server_is_too_small_the_batch_is_named():
    """With it all fit, with one sample more they do not, by planning with them."""
    given = document()
    given["privacy"] = {"per_sample_gradients": "model"}
    given["servers"][0]["memory"] = "500 kB"
    for device in given["devices"]:
        device["memory"] = "200 kB"  # so that they cannot hold all layers
    found = plan(Scenario.from_dict(given))
    assert found.decision is None
    most = int(found.result["message"].split("the largest batch that fits has ")[1])
    assert 1 <= most < 16
    for size, is_feasible in ((most, True), (most + 1, False)):
        for device in given["devices"]:
            device["batch_size"] = size
        assert plan(Scenario.from_dict(given)).is_feasible == is_feasible


def test_the_cut_moves_forward():
    """Deeper parts cost more with it, so that no device cuts later and the round is no shorter."""
    given = document()
    private = plan(Scenario.from_dict(given), objective="makespan")
    plain = plan("digits-splitfed", objective="makespan")
    assert private.prediction["round_s"] > plain.prediction["round_s"]
    assert np.all(np.array(private.decision["cut"]) <= np.array(plain.decision["cut"]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda d: d.update(model="resnet101-cifar"),
            "has no work|counts none|were measured without",
        ),
        (
            lambda d: [one.update(machine_model="none.json") for one in d["devices"]],
            "machine_model",
        ),
        (lambda d: d["privacy"].update(per_sample_gradients="yes"), "write true, or model"),
        (lambda d: d["privacy"].update(per_sample_gradients="server"), "false, or model"),
        (
            lambda d: (
                d["privacy"].update(per_sample_gradients="model"),
                d["servers"][0].update(machine_model="none.json"),
            ),
            "machine_model",
        ),
    ],
)
def test_what_is_refused(change, words):
    given = document()
    change(given)
    with pytest.raises(InputError, match=words):
        plan(Scenario.from_dict(given))


def pipeline(private, **memory):
    """Return the shipped pipeline, whose owners have the first and last layer, and its problem."""
    given = Scenario.load("digits-pipeline").to_dict()
    given["privacy"] = {"per_sample_gradients": private}
    given["devices"][0] |= memory
    scenario = Scenario.from_dict(given)
    return scenario, PipelinePartition.from_scenario(scenario)


@pytest.mark.parametrize("private", [True, "model"])
def test_of_the_owners_and_nodes_of_a_pipeline_by_hand(private):
    """Owners at 4 MFLOP/s have 80 and 650 parameters, and batches of 16."""
    (_, plain), (_, known) = pipeline(False), pipeline(private)
    profile = traced_profile("cnn-digits")
    forward = np.diff(profile.device_forward_flop, prepend=0.0)
    own, before = known.owner_groups.parts, plain.owner_groups.parts
    first, last = 16 * (forward[0] + 4 * 80) / 4e6, 16 * (forward[5] + 4 * 650) / 4e6
    assert own.first_backward_s - before.first_backward_s == pytest.approx([first])
    assert own.last_s - before.last_s == pytest.approx([last])
    assert own.first_forward_s == pytest.approx(before.first_forward_s)
    if private is True:  # nodes have nothing to do with it
        assert known.backward_s == pytest.approx(plain.backward_s, rel=1e-12)
        assert known.layer_memory_bytes == pytest.approx(plain.layer_memory_bytes, rel=1e-12)
        return
    trained = np.array([0, 1168, 0, 4160])  # of pool1, conv2, pool2 and fc1
    more = 16 * (forward[1:5] + 4 * trained) / np.array([[10e6], [20e6]])
    assert known.backward_s - plain.backward_s == pytest.approx(more)
    saved = profile.layer_saved_bytes[1:5]
    added = known.layer_memory_bytes - plain.layer_memory_bytes
    assert added == pytest.approx(16 * (saved + 4 * trained))


def test_memory_of_an_owner_of_a_pipeline_by_hand():
    """Three numbers for each parameter, twice the saved tensors and a gradient for each sample."""
    profile = traced_profile("cnn-digits")
    saved = profile.layer_saved_bytes[[0, 5]].sum()
    need = 3 * 4 * (80 + 650) + 16 * (2 * saved + 4 * (80 + 650))
    scenario, _ = pipeline(True, memory=f"{need + 1:.0f} B")
    assert owner_memory(scenario, scenario.load_model(), Cuts(1, 5)) == pytest.approx(need)
    with pytest.raises(InfeasibleError, match="an owner's layers, the first 1 and the last 1"):
        pipeline(True, memory=f"{need - 1:.0f} B")
    pipeline(False, memory=f"{need - 1:.0f} B")


def test_a_pipeline_with_privacy_is_planned_longer():
    """By what the owners' steps take; the plan says what is in it."""
    rounds = []
    for private in (False, True, "model"):
        made = plan(pipeline(private)[0])
        rounds.append(made.prediction["round_s"])
        noted = any("with a gradient for each sample" in note for note in made.notes)
        assert noted == bool(private)
    assert rounds[0] < rounds[1] < rounds[2]


def test_accelerators_are_refused():
    given = Scenario.load("examples/graph-inception.yaml").to_dict()
    given["privacy"] = {"per_sample_gradients": True}
    with pytest.raises(InputError, match="not about accelerators"):
        plan(Scenario.from_dict(given))
