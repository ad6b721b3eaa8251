"""What single samples' gradients add to a profile, against what a real step keeps and computes."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest

from splitopt import Scenario, plan
from splitopt.errors import InputError
from splitopt.profiles import ModelProfile
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


@pytest.mark.train
@pytest.mark.parametrize(
    ("network", "shape", "cut"), [("cnn", (1, 28, 28), 5), ("vgg11", (3, 32, 32), 14)]
)
@pytest.mark.one_quick
def test_memory_is_what_a_step_keeps(network, shape, cut):
    """The most bytes of all tensors that live at once, against the profile with 16 samples.

    Deep enough for what lives for a moment inside of an operator to be little beside it.
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
    profile = with_sample_gradients(traced.profile)
    part = Part(traced.segments([cut])[0], lambda some: torch.optim.SGD(some, lr=0.1))
    with Peak() as measured:
        held = part.forward(batch, first=True)
        own = per_sample_gradients(part, held, torch.ones_like(held.result), set())
        factors = clip_factors([norms_of(own)], 1.0)
        total = [torch.tensordot(factors, value, dims=1) for value in own.values()]
    assert total
    found = measured.most + profile.device_model_bytes[cut - 1]  # parameters were there before
    fixed = profile.device_memory_fixed_bytes[cut - 1]
    wanted = fixed + samples * profile.device_memory_per_sample_bytes[cut - 1]
    without = fixed + samples * traced.profile.device_memory_per_sample_bytes[cut - 1]
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
        (lambda d: d["privacy"].update(per_sample_gradients="yes"), "per_sample_gradients"),
    ],
)
def test_what_is_refused(change, words):
    given = document()
    change(given)
    with pytest.raises(InputError, match=words):
        plan(Scenario.from_dict(given))


def test_pipelines_are_refused():
    given = Scenario.load("digits-pipeline").to_dict()
    given["privacy"] = {"per_sample_gradients": True}
    with pytest.raises(InputError, match="not about compute nodes"):
        plan(Scenario.from_dict(given))
