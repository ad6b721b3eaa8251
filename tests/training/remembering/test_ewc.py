"""Elastic weight consolidation against an unsplit model with the penalty in its loss."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch.nn.functional import cross_entropy  # noqa: E402

from splitopt import InputError  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.remembering_options import Remembering  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402

pytestmark = pytest.mark.train

SIZES = (8, 12, 5)
LR, LAMBDA, SAMPLES = 0.1, 0.7, 6


def vanilla(make, given, dtype=torch.float64, **more):
    """Return the scheme with what is asked for, and its clients."""
    options = Options(learning_rate=LR, remembering=given, **more)
    clients = make.clients(SIZES, dtype=dtype)
    return SCHEMES["vanilla"](make.cnn(dtype=dtype), clients, options, make.split)


def fisher(model, inputs, targets, count):
    """Return the mean of squared gradients over evenly spread samples, one after the other."""
    rows = torch.linspace(0, len(targets) - 1, min(count, len(targets))).round().long()
    found = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for row in rows:
        loss = cross_entropy(model(inputs[row : row + 1]), targets[row : row + 1])
        for (_, total), g in zip(
            found.items(), torch.autograd.grad(loss, list(model.parameters())), strict=True
        ):
            total += g**2 / len(rows)
    return found


def penalty(model, turns, decay, online):
    """Write Eq. 3 of Kirkpatrick et al. out: lambda/2 sum over turns of F (w - w*)^2."""
    total = 0.0
    for age, (own, weights) in enumerate(reversed(turns)):
        anchor = turns[-1][1] if online else weights
        for name, p in model.named_parameters():
            total = total + LAMBDA / 2 * decay**age * (own[name] * (p - anchor[name]) ** 2).sum()
    return total


@pytest.mark.parametrize(
    ("form", "decay"), [("accumulated", 1.0), ("accumulated", 0.5), ("online", 0.8)]
)
def test_it_is_the_penalised_loss_of_an_unsplit_model(make, form, decay):
    """Two rounds in float64, every step with autograd of the formula."""
    given = Remembering(ewc=LAMBDA, ewc_form=form, ewc_decay=decay, ewc_samples=SAMPLES)
    scheme = vanilla(make, given)
    model, twins, turns = (
        make.cnn(dtype=torch.float64),
        make.clients(SIZES, dtype=torch.float64),
        [],
    )
    for number in range(2):
        scheme.round(number)
        for client in twins:
            for inputs, targets in client.batches.take(client.batches.per_epoch):
                loss = cross_entropy(model(inputs), targets)
                loss = loss + penalty(model, turns, decay, form == "online")
                grads = torch.autograd.grad(loss, list(model.parameters()))
                with torch.no_grad():
                    for p, g in zip(model.parameters(), grads, strict=True):
                        p -= LR * g
            whole = (client.batches.inputs, client.batches.targets)
            weights = {name: p.detach().clone() for name, p in model.named_parameters()}
            turns.append((fisher(model, *whole, SAMPLES), weights))
        for name, value in scheme.model.state_dict().items():
            assert torch.allclose(value, model.state_dict()[name], rtol=1e-9, atol=1e-12), name
    plain = vanilla(make, None)
    for number in range(2):
        plain.round(number)
    apart = max(
        float((a - b).detach().abs().max())
        for a, b in zip(plain.model.parameters(), model.parameters(), strict=True)
    )
    assert apart > 1e-3  # the penalty did something


def test_a_strength_of_0_changes_no_bit(make):
    """With layers that draw, normalise and keep statistics, and with momentum that goes on."""
    found = []
    for given in (None, Remembering(ewc=0.0)):
        options = Options(learning_rate=LR, momentum=0.9, optimizer_state="keep", remembering=given)
        model = make.cnn(dropout=0.3, batch_norm=True)
        scheme = SCHEMES["vanilla"](model, make.clients(SIZES), options, make.split)
        losses = [scheme.round(number).loss for number in range(2)]
        found.append((losses, scheme.model.state_dict()))
    assert found[0][0] == found[1][0]
    for name, value in found[0][1].items():
        assert torch.equal(value, found[1][1][name]), name


@pytest.mark.parametrize(("form", "times"), [("accumulated", 2), ("online", 1)])
def test_what_it_sends(make, form, times):
    """A pass of the samples more in each turn, and tensors of the size of the device part."""
    plain, own = (
        vanilla(make, None),
        vanilla(make, Remembering(ewc=1.0, ewc_form=form, ewc_samples=6)),
    )
    before, rounds = plain.round(0).traffic, [own.round(0).traffic, own.round(1).traffic]
    part = 8 * (4 * 9 + 4)  # Conv2d(1, 4, 3) in float64
    smashed = 8 * 4 * 8 * 8  # before the pooling
    samples = 6 + 6 + 5
    assert rounds[0].smashed - before.smashed == samples * smashed
    assert rounds[0].gradient - before.gradient == samples * smashed
    assert rounds[0].label - before.label == samples * 8
    assert rounds[0].fisher_up == rounds[1].fisher_up == rounds[1].fisher_down == 3 * times * part
    assert rounds[0].fisher_down == 2 * times * part  # the first turn has nothing yet
    assert rounds[0].model_down == before.model_down
    assert "fisher_up" not in before.to_dict()


def test_a_state_goes_on(make):
    """Penalties included."""
    given = Remembering(ewc=LAMBDA, ewc_samples=4)
    one, other = vanilla(make, given), vanilla(make, given)
    one.round(0)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    one.round(1)
    other.round(1)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize("scheme", ["splitfed_v1", "splitfed_v2", "clustered", "federated"])
@pytest.mark.parametrize("name", ["ewc", "replay", "turn_batches"])
def test_other_schemes_refuse_it(make, scheme, name):
    """By name, with the scheme that does it."""
    options = Options(remembering=Remembering(**{name: 1}))
    cuts = () if scheme == "federated" else (3,)
    with pytest.raises(InputError, match=f"{name}: is for vanilla.*not for {scheme}"):
        SCHEMES[scheme](make.cnn(), make.clients(SIZES, cuts), options, make.split)
