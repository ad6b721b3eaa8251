"""Attacks where the answer is known: linear parts, gradients by hand, areas by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from splitopt.privacy.leakage.attacks.feature_inversion import invert_features  # noqa: E402
from splitopt.privacy.leakage.attacks.gradient_matching import match_gradients  # noqa: E402
from splitopt.privacy.leakage.attacks.inference import (  # noqa: E402
    auc,
    label_auc,
    membership_auc,
)
from splitopt.privacy.leakage.attacks.search import Search  # noqa: E402
from splitopt.privacy.leakage.similarity import centred_cosine  # noqa: E402
from splitopt.privacy.leakage.victim import Victim  # noqa: E402

pytestmark = pytest.mark.train
SIDE = 16


def _victim(client=None, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        basis, _ = torch.linalg.qr(torch.randn(SIDE, SIDE, dtype=torch.float64))
        first = nn.Linear(SIDE, SIDE, dtype=torch.float64)
        with torch.no_grad():
            first.weight.copy_(basis)
        server = nn.Sequential(nn.Linear(SIDE, 12), nn.Tanh(), nn.Linear(12, 3)).double()
    return Victim(client or first, server, functional.cross_entropy, 0.0, 1.0)


def _samples(count=3, seed=1):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.random((count, SIDE))), torch.arange(count) % 3


def test_what_went_through_an_invertible_linear_part_is_recovered():
    victim, (samples, _) = _victim(), _samples()
    found = invert_features(victim, samples, Search(steps=400), seed=0, white=True)
    assert float((found - samples).abs().max()) < 0.02


@pytest.mark.slow
def test_the_gradient_of_a_linear_layer_tells_its_input():
    """Its weight gradient is an outer product with what the layer was given."""
    victim, (samples, targets) = _victim(), _samples(1)
    found = match_gradients(victim, samples, targets, Search(steps=400), seed=0, white=True)
    assert float(centred_cosine(samples, found)) > 0.999


def test_a_part_that_erases_leaks_nothing():
    class Erase(nn.Module):
        def forward(self, x):
            return 0.0 * x

    victim, (samples, _) = _victim(Erase()), _samples(40)
    found = invert_features(victim, samples, Search(steps=30), seed=0, white=True)
    assert abs(float(centred_cosine(samples, found).mean())) < 0.15


@pytest.mark.parametrize("attack", ["features", "gradients"])
def test_a_black_box_attacker_never_runs_the_client_part(attack):
    """Its one run is that in which the server receives the smashed data."""

    class Watched(nn.Linear):
        runs = 0

        def forward(self, x):
            if self.watched:
                Watched.runs += 1
            return super().forward(x)

        def __deepcopy__(self, memo):
            other = Watched(SIDE, SIDE, dtype=torch.float64)
            other.watched = False
            other.load_state_dict(self.state_dict())
            return other

    client = Watched(SIDE, SIDE, dtype=torch.float64)
    client.watched = True
    victim, (samples, targets) = _victim(client), _samples()
    search = Search(steps=4, restarts=2)
    before = client.weight.detach().clone()
    if attack == "features":
        invert_features(victim, samples, search, seed=0, white=False)
    else:
        match_gradients(victim, samples, targets, search, seed=0, white=False)
    assert Watched.runs == 1
    assert torch.equal(before, client.weight)
    assert not torch.equal(victim.surrogate(0).weight, before)


def test_another_seed_starts_elsewhere_and_the_same_seed_gives_the_same_bits():
    victim, (samples, _) = _victim(), _samples()
    runs = [invert_features(victim, samples, Search(steps=3), seed, True) for seed in (0, 0, 1)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_of_several_starts_the_one_that_explains_best_is_kept():
    victim, (samples, _) = _victim(), _samples()

    def error(found):
        return float((victim.smashed(found) - victim.smashed(samples)).square().sum())

    one = invert_features(victim, samples, Search(steps=2), 0, True)
    best = invert_features(victim, samples, Search(steps=2, restarts=6), 0, True)
    assert error(best) <= error(one)


def test_gradients_at_the_cut_are_those_of_finite_differences():
    victim, (samples, targets) = _victim(), _samples()
    found = victim.cut_gradients(samples, targets)
    smashed, step = victim.smashed(samples), 1e-6
    for n in range(len(samples)):
        for k in (0, 5, SIDE - 1):
            ends = []
            for sign in (1, -1):
                moved = smashed[n : n + 1].clone()
                moved[0, k] += sign * step
                loss = victim.loss(victim.server(moved), targets[n : n + 1])
                ends.append(float(loss.detach()))
            assert float(found[n, k]) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)


def test_the_area_under_the_curve_is_that_of_scikit_learn():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 9, 60) / 4, rng.integers(0, 2, 60)
    found = auc(torch.from_numpy(scores), torch.from_numpy(positive))
    assert found == pytest.approx(roc_auc_score(positive, scores))
    assert auc(torch.from_numpy(scores), torch.zeros(60)) is None


def test_gradients_that_point_by_label_tell_it_and_mixed_ones_do_not():
    rng = np.random.default_rng(0)
    labels = torch.arange(60) % 3
    told = torch.eye(3)[labels] + 0.01 * torch.from_numpy(rng.normal(size=(60, 3)))
    assert label_auc(told, labels)["auc_by_cosine"] == pytest.approx(1.0)
    noise = torch.from_numpy(rng.normal(size=(60, 3)))
    assert label_auc(noise, labels)["auc_by_cosine"] < 0.7


def test_a_model_that_knows_its_samples_by_heart_gives_them_away():
    victim, (samples, targets) = _victim(), _samples(24)
    others, other_targets = _samples(24, seed=9)
    before = membership_auc(victim, (samples, targets), (others, other_targets))
    assert abs(before["auc_by_loss"] - 0.5) < 0.25
    optimizer = torch.optim.Adam(
        [*victim.client.parameters(), *victim.server.parameters()], lr=0.01
    )
    for _ in range(400):
        optimizer.zero_grad()
        victim.loss(victim.server(victim.client(samples)), targets).backward()
        optimizer.step()
    after = membership_auc(victim, (samples, targets), (others, other_targets))
    # Of the others a third is right by chance, which nobody can tell from members: 5/6 at best.
    assert 0.75 < after["auc_by_loss"] < 0.9
    assert 0.75 < after["auc_by_norm"] < 0.9
