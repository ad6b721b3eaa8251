"""Whether a model is the one that a plan was made for."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt import InputError, load_profile  # noqa: E402
from splitopt.models import build  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402
from splitopt.training.preparing.matching import cut_numbers, match, measured_rows, rows_of  # noqa: E402

pytestmark = pytest.mark.train

EXAMPLE = torch.zeros(2, 1, 8, 8)


def test_the_shipped_model_is_the_one_of_its_profile():
    """The network matches the table that ships for it, and its cuts are found by name."""
    split = match(build("cnn", (1, 8, 8)), EXAMPLE, load_profile("cnn-digits"))
    assert cut_numbers(split, ("conv1", "pool2", "fc1")) == (1, 4, 5)
    assert cut_numbers(split, ()) == ()


def test_rows_are_those_of_the_tracer(make):
    """Measured rows equal the traced profile of the same model, kept cuts or not."""
    model = make.cnn(batch_norm=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    traced = trace(model, EXAMPLE, keep_all=True)
    rows = measured_rows(traced.split, EXAMPLE)
    assert rows == rows_of(traced.profile)
    assert match(model, EXAMPLE, trace(model, EXAMPLE).profile)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_another_model_is_refused_with_both_fingerprints():
    """The first difference is named: a layer, its parameters, or what crosses."""
    profile = load_profile("cnn-digits")
    with pytest.raises(InputError, match=r"fingerprint \w{16}, this model \w{16}.*'fc2'.* B here"):
        match(build("cnn", (1, 8, 8), 7), EXAMPLE, profile)
    with pytest.raises(InputError, match="output of layer 'conv1', 2,048 B in the plan and 8,192"):
        match(build("cnn", (1, 16, 16)), torch.zeros(2, 1, 16, 16), profile)
    with pytest.raises(InputError, match="layer 'conv1', which this model cannot be cut behind"):
        match(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), EXAMPLE, profile)


def test_names_alone_serve_published_tables():
    """Cuts are taken by name; a layer that the model lacks is refused."""
    profile = load_profile("cnn-digits")
    split = match(build("cnn", (1, 16, 16)), torch.zeros(2, 1, 16, 16), profile, by="names")
    assert cut_numbers(split, ("pool1",)) == (2,)
    with pytest.raises(InputError, match=r"layer 'CONV1', which is no cut .* conv1, pool1"):
        cut_numbers(split, ("CONV1",))
    with pytest.raises(InputError, match="match"):
        match(build("cnn", (1, 8, 8)), EXAMPLE, profile, by="luck")
