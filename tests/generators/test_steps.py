"""Losses and sanitised gradients against sums by hand, and what privacy rests on."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.generators import GeneratorOptions, NetworkSpec, Sanitizing  # noqa: E402
from splitopt.generators.accounting import sensitivity_of  # noqa: E402
from splitopt.generators.losses import (  # noqa: E402
    critic_loss,
    generator_gradients,
    gradient_norms,
)
from splitopt.generators.networks import Critic, build, noise_of  # noqa: E402
from splitopt.generators.sanitizing import clipped_rows, teach  # noqa: E402
from splitopt.generators.state import Training  # noqa: E402
from splitopt.training.privacy.entropy import Entropy  # noqa: E402
from tests.generators.conftest import CLASSES  # noqa: E402

pytestmark = pytest.mark.train
SPEC = NetworkSpec("small", (1, 8, 8), CLASSES)


def linear(weight):
    """Return a critic whose gradient is the same everywhere."""
    return lambda images, labels: images.flatten(1) @ weight + labels


def test_loss_of_a_linear_critic():
    """Eq. 6: means of scores, and lambda (|w| - 1)^2 wherever the samples in between are."""
    weight = torch.linspace(-1, 1, 64)
    real, made = torch.rand(2, 5, 1, 8, 8)
    labels = torch.tensor([0, 1, 2, 3, 0])
    loss, distance, norm = critic_loss(linear(weight), real, made, labels, torch.rand(5), 7.0)
    apart = float(((real - made).flatten(1) @ weight).mean())
    length = float(weight.norm())
    assert distance == pytest.approx(apart, abs=1e-5)
    assert norm == pytest.approx(length, rel=1e-6)
    assert float(loss) == pytest.approx(7 * (length - 1) ** 2 - apart, rel=1e-5)


def test_penalty_is_at_samples_in_between():
    """A critic of squares has the gradient 2x; alpha is the share of the real sample."""
    real, made = torch.full((2, 1, 1, 8, 8), 0.75).unbind()
    made = made / 3
    for share in (0.0, 0.25, 1.0):
        norms = gradient_norms(
            lambda images, _: images.square().flatten(1).sum(dim=1),
            *(real, made, torch.tensor([0]), torch.tensor([share])),
        )
        assert float(norms.detach()) == pytest.approx(
            2 * 8 * (0.75 * share + 0.25 * (1 - share)), rel=1e-6
        )


def test_gradient_of_the_penalty():
    """The derivative of the whole loss by a weight, against differences in float64."""
    torch.manual_seed(0)
    critic = Critic(SPEC).double().eval()
    real, made = torch.rand(2, 3, 1, 8, 8, dtype=torch.float64)
    labels, mix = torch.tensor([0, 1, 3]), torch.rand(3, dtype=torch.float64)
    weight = critic.downs[0].parametrizations.weight.original

    def loss():
        return critic_loss(critic, real, made, labels, mix, 10.0)[0]

    loss().backward()
    for place in ((0, 0, 2, 2), (5, 1, 0, 3)):
        ends = []
        for change in (1e-6, -2e-6):
            with torch.no_grad():
                weight[place] += change
            ends.append(float(loss().detach()))
        with torch.no_grad():
            weight[place] += 1e-6
        assert float(weight.grad[place]) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4)


def test_spectral_norm_bounds_the_critic():
    """Each weight has the largest singular value 1; a gradient is at most 3 times per layer."""
    _, (critic,) = build(SPEC, 0, 1)
    images = torch.rand(4, 1, 8, 8)
    labels = torch.tensor([0, 1, 2, 3])
    for _ in range(100):  # power iterations
        critic(images, labels)
    for layer in (*critic.downs, critic.last):
        values = torch.linalg.svdvals(layer.weight.flatten(1))
        assert float(values[0].detach()) == pytest.approx(1, abs=1e-3)
    # A kernel of 5 at stride 2 has each pixel in at most 3 x 3 windows.
    norms = generator_gradients(critic, images, labels).flatten(1).norm(dim=1)
    assert norms.max() <= 3 ** len(critic.downs)


def test_label_and_noise_matter():
    """The label is an input of both networks."""
    network, (critic,) = build(SPEC, 0, 1)
    noise = noise_of(SPEC, 1, torch.Generator().manual_seed(1))
    assert set(noise.flatten().tolist()) <= {0.0, 1.0}
    one, other = (network(noise, torch.tensor([label])) for label in (0, 1))
    assert not torch.equal(one, other)
    critic.eval()
    assert critic(one, torch.tensor([0])) != critic(one, torch.tensor([1]))


def lesson(critic=None, seed=0):
    """Return a generator, what it made, and the gradients there."""
    network, critics = build(SPEC, 0, 1)
    labels = torch.tensor([0, 1, 2, 3, 3, 0])
    made = network(noise_of(SPEC, 6, torch.Generator().manual_seed(seed)), labels)
    critic = critic or critics[0].eval()
    return network, made, generator_gradients(critic, made, labels), labels


def flat(network):
    return torch.cat([own.grad.flatten() for own in network.parameters()])


def taught(own, critic=None, entropy=None):
    network, made, gradients, _ = lesson(critic)
    teach(network, made, gradients, own, entropy)
    return flat(network)


def plain(critic=None):
    """Return the gradient of Eq. 7 by autograd alone."""
    network, critics = build(SPEC, 0, 1)
    labels = torch.tensor([0, 1, 2, 3, 3, 0])
    made = network(noise_of(SPEC, 6, torch.Generator().manual_seed(0)), labels)
    critic = critic or critics[0].eval()
    (-critic(made, labels).mean()).backward()
    return flat(network)


@pytest.mark.parametrize("reading", [None, "batch", "sample", "value"])
def test_a_clip_that_binds_nowhere_changes_nothing(reading):
    """The gradient is that of the loss."""
    own = None if reading is None else Sanitizing(reading, 1e6, 0.0)
    torch.testing.assert_close(taught(own), plain(), rtol=1e-5, atol=1e-8)


def test_readings_clip_what_they_say():
    """The whole gradient; each value; the gradient at each sample before it goes on."""
    steep = linear(torch.full((64,), 3.0))  # a norm of 24 at each sample
    base = plain(steep)
    length = float(base.norm())
    batch = taught(Sanitizing("batch", length / 4, 0.0), steep)
    torch.testing.assert_close(batch, base / 4, rtol=1e-5, atol=1e-8)
    most = float(base.abs().median())
    value = taught(Sanitizing("value", most, 0.0), steep)
    torch.testing.assert_close(value, base.clamp(-most, most))
    sample = taught(Sanitizing("sample", 6.0, 0.0), steep)
    torch.testing.assert_close(sample, base / 4, rtol=1e-5, atol=1e-8)


def test_clipped_rows():
    """Rows within the norm stay as they are, others end on it, and zeros stay zeros."""
    rows = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    wanted = torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]])
    torch.testing.assert_close(clipped_rows(rows, 1.0), wanted)


@pytest.mark.parametrize("reading", ["batch", "value"])
def test_noise_has_the_deviation_that_is_accounted(reading):
    """Of sigma C on each value of the gradient; another draw is another noise."""
    own = Sanitizing(reading, 0.5, 3.0)
    still = taught(Sanitizing(reading, 0.5, 0.0))
    noise = taught(own, entropy=Entropy(1)) - still
    assert float(noise.std()) == pytest.approx(1.5, rel=0.03)
    assert abs(float(noise.mean())) < 0.06
    assert not torch.equal(noise, taught(own, entropy=Entropy(2)) - still)


def test_noise_at_samples_has_the_deviation_that_is_accounted():
    """Seen through a generator that is the identity: sigma C for each sample, over the batch."""
    network = nn.Linear(400, 400, bias=False)
    nn.init.eye_(network.weight)
    made = network(torch.eye(400))
    teach(network, made, torch.zeros(400, 400), Sanitizing("sample", 0.5, 3.0), Entropy(1))
    assert float(network.weight.grad.std()) == pytest.approx(1.5 / 400, rel=0.02)


@pytest.mark.parametrize("reading", ["batch", "sample"])
def test_opposite_critics_reach_the_sensitivity(reading):
    """One sample may turn a critic round: what noise is added to then moves by all of 2 r."""
    options = GeneratorOptions(batch=6)
    own = Sanitizing(reading, 0.1, 1.0)
    ends = []
    for sign in (1.0, -1.0):
        network, made, gradients, _ = lesson(linear(torch.full((64,), 3.0 * sign)))
        if reading == "sample":
            ends.append(clipped_rows(gradients, own.clip).flatten())
        else:
            teach(network, made, gradients, Sanitizing(reading, 0.1, 0.0), None)
            ends.append(flat(network))
    moved = float((ends[0] - ends[1]).norm())
    assert moved == pytest.approx(sensitivity_of(SPEC, options, own), rel=1e-5)
    assert moved == pytest.approx(0.2 * math.sqrt(6 if reading == "sample" else 1), rel=1e-5)


def training(samples, batch=8, sanitize=None):
    options = GeneratorOptions(steps=6, critic_steps=2, batch=batch, critics=3, sanitize=sanitize)
    images, labels = samples
    return Training(SPEC, images, labels, options, 0)


def test_critics_have_samples_of_their_own(samples):
    """Each sample is with one critic, and all are with some."""
    parts = [own.inputs.flatten(1) for own in training(samples)._batches]
    assert [len(part) for part in parts] == [100, 100, 100]
    rows = [tuple(row) for part in parts for row in part.tolist()]
    assert len(set(rows)) == 300


def test_one_sample_is_seen_by_one_critic(samples):
    """With another sample in its place, the other critics are what they were, bit for bit."""
    images, labels = samples
    changed = images.clone()
    changed[17] = 1 - changed[17]
    runs = [training((own, labels), batch=100) for own in (images, changed)]
    for run in runs:
        for number in range(3):
            run._learn(number)
    same = [
        all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
        for one, other in zip(runs[0].critics, runs[1].critics, strict=True)
    ]
    assert sorted(same) == [False, True, True]


def test_who_teaches_changes_no_critic(samples, monkeypatch):
    """Draws leave no trace in critics: their states are the same whoever teaches a first step."""
    found = []
    for teacher in (0, 2):
        run = training(samples)
        monkeypatch.setattr(run, "_drawn", lambda _, number=teacher: number)
        run.step()
        found.append((run.critics, run.network))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        for name, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name
    assert not torch.equal(found[0][1].first.weight, found[1][1].first.weight)


def test_critics_learn_in_turn(samples, monkeypatch):
    """All before the first step, then one before each, whoever is drawn."""
    run, turns = training(samples), []
    monkeypatch.setattr(run, "_learn", lambda number: turns.append(number) or (0.0, 1.0))
    for _ in range(5):
        run.step()
    assert turns == [1, 2, 0, 1, 2, 0, 1]


def test_draws_are_even_and_secret(samples):
    """Each critic teaches as often; from the operating system where that is part of privacy."""
    run = training(samples, sanitize=Sanitizing("sample", 1.0, 1.0))
    secret = [run._drawn(run._entropy()) for _ in range(300)]
    again = training(samples, sanitize=Sanitizing("sample", 1.0, 1.0))
    assert secret != [again._drawn(again._entropy()) for _ in range(300)]
    counts = [secret.count(number) for number in range(3)]
    assert min(counts) > 60  # 100 each, with a deviation of 8
