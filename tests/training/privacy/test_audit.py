"""An audit: is a canary in the data? A guard that forgets its clip or its noise is convicted."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")
from scipy.stats import beta  # noqa: E402
from torch import nn  # noqa: E402

from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.privacy import guard  # noqa: E402
from splitopt.training.privacy.entropy import Entropy  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.schemes import Client  # noqa: E402

pytestmark = pytest.mark.train

MODELS = 200
SAMPLES, SIZE, ROUNDS, DELTA = 20, 8, 4, 1e-3
CANARY = 4.0


def half_squares(outputs, targets):
    return ((outputs - targets) ** 2).mean() / 2


def direct(seed, has_canary):
    """Return a model whose last device weight nobody but the canary moves, and the samples."""
    rng = torch.Generator().manual_seed(seed)
    x, y = torch.randn(SAMPLES, SIZE, generator=rng), torch.zeros(SAMPLES, 1)
    x[:, -1] = 0.0
    if has_canary:
        x[0], y[0] = 0.0, 10.0
        x[0, -1] = CANARY
    model = nn.Sequential(nn.Linear(SIZE, 1, bias=False), nn.Identity())
    nn.init.zeros_(model[0].weight)
    return model, x, y


def by_the_server(seed, has_canary):
    """Return a model whose canary turns the sign of the server's weight, and so all gradients."""
    x, y = torch.ones(SAMPLES, 1), 5.0 * torch.ones(SAMPLES, 1)
    if has_canary:
        x[0], y[0] = 50.0, 250.0
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    nn.init.ones_(model[0].weight)
    nn.init.constant_(model[1].weight, -1.0)
    return model, x, y


def moved(private, seed, has_canary, case, **given):
    """Train one tiny model; return where a weight of its device has come to."""
    model, x, y = case(seed, has_canary)
    batches = Batches(x, y, SAMPLES // 2, 0)
    scheme = private(
        "splitfed_v1",
        model,
        [Client("a", batches, Stream(0), (1,))],
        loss=half_squares,
        clip_norm=1.0,
        noise_multiplier=3.5,
        delta=DELTA,
        insecure_test_seed=seed,
        learning_rate=0.1,
        server_learning_rate=4e-3,
        **given,
    )
    for number in range(ROUNDS):
        scheme.round(number)
    return float(scheme.model[0].weight[0, -1].detach()), scheme.clients[0].guard.epsilon()


def bound(private, case=direct, **given):
    """Return a lower bound of epsilon that holds with 95 %, and what the accountant says.

    By the threshold that tells best of half the models, on the other half (Jagielski et al. 2020),
    with limits of Clopper and Pearson.
    """
    found = [(moved(private, n, n % 2 == 1, case, **given), n % 2) for n in range(MODELS)]
    claimed = found[0][0][1]
    sets = [[(value, has) for (value, _), has in found[k::4] + found[k + 1 :: 4]] for k in (0, 2)]

    def counts(values, threshold, sign):
        right = sum(sign * value > sign * threshold for value, has in values if has)
        wrong = sum(sign * value > sign * threshold for value, has in values if not has)
        return right, wrong

    def score(choice):
        right, wrong = counts(sets[0], *choice)
        return right - wrong

    choices = [(value, sign) for value, _ in sets[0] for sign in (1, -1)]
    choices += [(value - 1e-9, 1) for value, _ in sets[0]]
    right, wrong = counts(sets[1], *max(choices, key=score))
    count = MODELS // 4
    least = beta.ppf(0.025, right, count - right + 1) if right else 0.0
    most = beta.ppf(0.975, wrong + 1, count - wrong) if wrong < count else 1.0
    return math.log(max(1e-9, (least - DELTA) / most)), claimed


@pytest.mark.slow
def test_the_guard_passes(private):
    """What 200 models betray is within what the accountant claims."""
    found, claimed = bound(private)
    assert 1.0 < claimed < 1.6
    assert found <= claimed


@pytest.mark.slow
@pytest.mark.parametrize("forgotten", ["clip", "noise"])
def test_a_guard_that_forgets_is_convicted(private, monkeypatch, forgotten):
    """With a clip or a noise left out, the models betray more than is claimed."""
    if forgotten == "clip":
        real = guard.clip_factors
        monkeypatch.setattr(guard, "clip_factors", lambda own, _: torch.ones_like(real(own, 1.0)))
    else:
        monkeypatch.setattr(Entropy, "normal", lambda _, like, __: torch.zeros_like(like))
    found, claimed = bound(private)
    assert 1.0 < claimed < 1.6
    assert found > claimed


@pytest.mark.slow
@pytest.mark.parametrize("covers", ["client", "model"])
def test_what_the_server_learns_is_covered_with_the_model_alone(private, covers):
    """A canary that the server's part learns shows in the gradients of all other samples.

    So the epsilon of the client part takes what comes back as given, as is said wherever it is
    printed, and that of the whole model does not have to.
    """
    found, claimed = bound(private, by_the_server, covers=covers)
    assert 1.0 < claimed < 1.6
    assert (found > claimed) == (covers == "client")
