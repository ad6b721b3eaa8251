"""Optimizers of one's own, and gradients within limits: against plain PyTorch."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from splitopt.errors import InputError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402

pytestmark = pytest.mark.train

OWN = """
import torch
def rms(parameters, lr):
    return torch.optim.RMSprop(parameters, lr=lr)
def none(parameters, lr):
    return 3
def other(parameters):
    return None
"""


@pytest.fixture
def own(tmp_path):
    """Return the path of a file of optimizers."""
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path / "own.py"


def test_a_step_is_that_of_the_own_optimizer(own):
    """Also for a server with another rate."""
    options = Options(optimizer=f"{own}:rms", learning_rate=0.1, server_learning_rate=0.2)
    for role, rate in (("device", 0.1), ("server", 0.2)):
        weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        plain = torch.nn.Parameter(weight.detach().clone())
        steps = (
            (options.maker(role)([weight]), weight),
            (torch.optim.RMSprop([plain], lr=rate), plain),
        )
        for optimizer, value in steps:
            (value**2).sum().backward()
            optimizer.step()
        assert torch.equal(weight, plain)


def test_numbers_of_gradients_are_within_the_limit():
    """By hand: the gradient (4, -0.5) becomes (1, -0.5)."""
    weight = torch.nn.Parameter(torch.tensor([2.0, -0.25]))
    optimizer = Options(learning_rate=0.5, clip_value=1.0).maker("device")([weight])
    (weight**2).sum().backward()
    optimizer.step()
    assert weight.tolist() == [1.5, 0.0]


@pytest.mark.parametrize("name", ["splitfed_v1", "multihop"])
def test_the_cut_changes_nothing(make, own, name):
    """Limits and own optimizers in parts learn what they learn in the whole, bit by bit."""
    for options in (
        Options(learning_rate=0.5, clip_value=1e-3),
        Options(optimizer=f"{own}:rms", learning_rate=0.01, optimizer_state="average"),
    ):
        found = []
        for cuts in ((2, 4), ()) if name == "multihop" else ((3,), ()):
            kind = name if cuts else "federated"
            clients = make.clients((10, 16, 7), cuts, 5)
            scheme = SCHEMES[kind](make.cnn(), clients, options, make.split)
            for number in range(2):
                scheme.round(number)
            found.append(scheme.model.state_dict())
        for key, value in found[0].items():
            assert torch.equal(value, found[1][key]), key


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none", "gives a int and no torch.optim.Optimizer"),
        ("other", "cannot be called .*with a list of parameters and lr=RATE"),
        ("missing", "there is no 'missing'"),
    ],
)
def test_what_is_no_optimizer(own, name, words):
    with pytest.raises(InputError, match=words):
        Options(optimizer=f"{own}:{name}").maker("device")([torch.nn.Parameter(torch.ones(1))])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"optimizer": "rmsprop"}, "sgd, adam, adamw"),
        ({"optimizer": 3}, "optimizer: is 3"),
        ({"optimizer": "a.py:b", "weight_decay": 0.1}, "let your own function set it"),
        ({"optimizer": "a.py:b", "momentum": 0.1}, "is for sgd"),
        ({"clip_value": 0.0}, "clip_value: is 0.0"),
        ({"clip_value": float("inf")}, "clip_value: is inf"),
    ],
)
def test_options_that_cannot_be(given, words):
    with pytest.raises(InputError, match=words):
        Options(**given)
