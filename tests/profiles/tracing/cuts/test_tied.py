"""Cuts between layers that train one weight: refused, of two copies, or in one hand."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt import InputError, profiles  # noqa: E402
from splitopt.models.gpt import GPT  # noqa: E402
from splitopt.profiles.counting.memory import layer_parameters, layer_trained  # noqa: E402
from splitopt.profiles.counting.tied import exchanged_bytes, kept_together  # noqa: E402
from splitopt.profiles.tracing import find_cuts  # noqa: E402

pytestmark = pytest.mark.train

WEIGHT = 4 * 12 * 8
"""Bytes of the embedding of 12 words, which is the head as well."""
IDS = torch.zeros(2, 6, dtype=torch.int64)


def network(tied=True):
    return GPT(6, 12, width=8, heads=2, layers=2, tied=tied)


def traced(how, tied=True):
    return profiles.trace(network(tied), IDS, tied=how, keep_all=True)


@pytest.mark.one_quick
@pytest.mark.parametrize("how", ["copies", "together"])
def test_cuts_are_those_of_weights_of_their_own(how):
    """What crosses, and the work, is that of the model whose head has its own weight."""
    one, own = traced(how).profile, traced("refused", tied=False).profile
    assert one.layers == own.layers
    for name in ("smashed_bytes", "gradient_bytes", "device_forward_flop", "device_backward_flop"):
        assert np.array_equal(getattr(one, name), getattr(own, name)), name
    assert np.array_equal(one.device_model_bytes[:-1], own.device_model_bytes[:-1])
    assert own.device_model_bytes[-1] - one.device_model_bytes[-1] == WEIGHT
    between = [*[WEIGHT] * (one.layer_count - 1), 0]
    assert exchanged_bytes(one).tolist() == (between if how == "copies" else [0] * len(between))
    assert kept_together(one).tolist() == [size == 0 for size in between]


@pytest.mark.slow
def test_both_sides_of_a_copy_have_memory_for_it():
    """The head's layer holds the weight and its gradient, as one of its own; in one hand none."""
    own, copied, once = (
        profile.profile
        for profile in (traced("refused", tied=False), traced("copies"), traced("together"))
    )
    assert np.array_equal(layer_parameters(copied), layer_parameters(own))
    assert np.array_equal(layer_trained(copied), layer_trained(own))
    assert layer_parameters(once)[-1] == 0


@pytest.mark.slow
def test_the_record_says_it_and_is_read_again(tmp_path):
    """By the layers of the profile, of which some were left out."""
    found = profiles.trace(network(), IDS, tied="copies")
    found.profile.save(tmp_path / "tied.json")
    (weight,) = profiles.ModelProfile.load(tmp_path / "tied.json").trace.tied.weights
    assert (weight.name, weight.size_bytes) == ("tokens.weight", WEIGHT)
    assert weight.layers == (found.profile.layers[0], "head")
    assert found.profile.layers[0] != "tokens"
    assert profiles.ModelProfile.load(tmp_path / "tied.json") == found.profile
    assert "tied" not in profiles.trace(network(tied=False), IDS).profile.to_dict()["trace"]


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"how": "apart"}, "trace.tied.how: is 'apart'; choose one of together, copies"),
        ({"weights": 3}, "trace.tied.weights: are 3, they must be a list"),
        ({"weights": [{"name": "a", "bytes": 0, "layers": ["add", "head"]}]}, "bytes: is 0"),
        ({"weights": [{"name": "a", "bytes": 4, "layers": ["add"]}]}, "of a are 1; a tied"),
        ({"weights": [{"name": "a", "bytes": 4, "layers": ["head", "add"]}]}, "in their order"),
        ({"weights": [{"name": "a", "bytes": 4, "layers": ["add", "no"]}]}, "must be layers of"),
    ],
)
def test_spoiled_records_are_refused(change, words):
    """In one sentence with the field."""
    document = traced("copies").profile.to_dict()
    document["trace"]["tied"] |= change
    with pytest.raises(InputError, match=words):
        profiles.ModelProfile.from_dict(document, "profile")


def test_other_words_are_refused():
    """The choices are named."""
    with pytest.raises(InputError, match="tied: is 'twice'"):
        find_cuts(network(), IDS, tied="twice")


@pytest.mark.slow
def test_two_parameters_of_one_storage_stay_refused():
    """Each would have a gradient of its own: nothing that copies could add up."""
    model = network()
    model.head.weight = nn.Parameter(model.tokens.weight.data)
    with pytest.raises(InputError, match="make both the same parameter"):
        find_cuts(model, IDS, tied="copies")


@pytest.mark.parametrize("how", ["copies", "together"])
def test_a_frozen_weight_needs_nothing(how):
    """It is the same everywhere, and was in the way of no cut before."""
    model = network()
    model.tokens.weight.requires_grad_(False)
    profile = profiles.trace(model, IDS, tied=how, keep_all=True).profile
    assert profile.trace.tied.weights == ()
    assert kept_together(profile).all()
