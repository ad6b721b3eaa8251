"""Certificates of whole networks: closed forms, attacks inside the radius, and Eq. 4's failure."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.privacy.robustness.attacks import fgsm, pgd, projected  # noqa: E402
from splitopt.privacy.robustness.certifying import Certifier, certified_table  # noqa: E402
from splitopt.privacy.robustness.empirical import empirical_sensitivity  # noqa: E402
from splitopt.privacy.robustness.settings import RobustnessSettings  # noqa: E402
from splitopt.training.pixel_dp_options import PixelDP  # noqa: E402
from splitopt.training.privacy.pixel.noise import NoisyPart, PixelEntropy  # noqa: E402

pytestmark = pytest.mark.train
W = (3.0, -4.0)


class Signs(nn.Module):
    """Two classes: the sign of one number."""

    def forward(self, x):
        return torch.cat([x, -x], dim=1)


def linear(mechanism="gaussian", weights=W, seed=0, **given):
    """Return w x + noise with the sign as class."""
    before = nn.Linear(2, 1, bias=False).double()
    with torch.no_grad():
        before.weight.copy_(torch.tensor([weights]))
    settings = PixelDP(**{"after": "a", "epsilon": 1.0, "mechanism": mechanism, **given})
    example = torch.zeros(2, 2, dtype=torch.float64)
    return NoisyPart(before, Signs(), settings, PixelEntropy(seed), example).eval()


@pytest.mark.slow
def test_a_linear_score_has_its_closed_form():
    """E_1 = Phi(w x / sigma), Delta = |w|: scores and radius are those of the formulas."""
    layer = linear(delta=0.05, radius=0.5)
    sigma = layer.scale()
    assert sigma == pytest.approx(np.sqrt(2 * np.log(1.25 / 0.05)) * 5 * 0.5, rel=1e-6)
    x = torch.tensor([[1.0, -1.0], [0.2, 0.0], [-2.0, 1.0]], dtype=torch.float64)
    settings = RobustnessSettings(draws=20_000, confidence=0.999)
    own = Certifier(layer, settings)
    votes = own.sums(x, settings.draws).numpy() / settings.draws
    truth = stats.norm.cdf(x.numpy() @ np.array(W) / sigma)
    assert votes[:, 0] == pytest.approx(truth, abs=0.02)
    predicted, radii = own.certify(x)
    assert list(predicted) == [0, 0, 1]
    # Changes along w turn the prediction at |w x| / |w|: no certificate goes so far, and those of
    # sure predictions go a good part of it.
    flip = np.abs(x.numpy() @ np.array(W)) / 5
    assert (radii < flip).all()
    assert radii[0] > 0.2 * flip[0]


@pytest.mark.slow
@pytest.mark.parametrize("scores", ["votes", "probabilities"])
@pytest.mark.parametrize("mechanism", ["gaussian", "laplace"])
def test_certified_inputs_do_not_flip_inside_their_radius(mechanism, scores):
    """PGD with the gradients of expected scores, at each input's own radius."""
    torch.manual_seed(0)
    before = nn.Sequential(nn.Linear(6, 5), nn.ReLU()).double()
    behind = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        behind[2].weight.mul_(12)
        behind[0].weight.mul_(3)
    settings = PixelDP("0", 1.0, mechanism, delta=0.05, radius=0.05)
    example = torch.zeros(2, 6, dtype=torch.float64)
    layer = NoisyPart(before, behind, settings, PixelEntropy(3), example).eval()
    own = Certifier(layer, RobustnessSettings(draws=2000, scores=scores))
    x = 3 * torch.randn(60, 6, dtype=torch.float64)
    predicted, radii = own.certify(x)
    some = radii > 0
    assert some.sum() > 10
    power = 2 if mechanism == "gaussian" else 1
    for radius in np.quantile(radii[some], [0.1, 0.5, 0.9]):
        held = radii >= radius
        inputs, targets = x[held], torch.tensor(predicted[held])
        for attacked in (
            pgd(layer, inputs, targets, radius, settings.norm, steps=15, draws=10),
            fgsm(layer, inputs, targets, radius, settings.norm, draws=10),
        ):
            lengths = (attacked - inputs).norm(power, dim=1)
            assert float(lengths.max()) <= radius * (1 + 1e-9)
            assert (own.predict(attacked) == predicted[held]).all()


@pytest.mark.slow
def test_attacks_do_turn_what_is_not_certified():
    """A check that can fail: with a larger radius than any certificate many predictions turn."""
    layer = linear(delta=0.05, radius=0.05)
    own = Certifier(layer, RobustnessSettings(draws=500))
    x = torch.randn(40, 2, dtype=torch.float64)
    predicted, radii = own.certify(x)
    targets = torch.tensor(predicted)
    flip = (x @ torch.tensor(W, dtype=torch.float64)).abs() / 5
    wide = float(flip.median()) * 1.5
    turned = own.predict(pgd(layer, x, targets, wide, "l2")) != predicted
    assert turned.sum() >= 20
    assert radii[turned].max() < wide


@pytest.mark.slow
def test_noise_by_eq_4_is_not_enough():
    """Samples differ along one axis, and the layer stretches the other ten times as much.

    The figure of Eq. 4 is 1 where the sensitivity is 10. What is certified by it is turned by a
    change inside its radius; what is certified by the proved norm is not.
    """
    layer = linear(weights=(1.0, 10.0), delta=0.05, radius=0.2)
    x = torch.tensor([[value, 0.0] for value in np.linspace(4, 8, 9)], dtype=torch.float64)
    with torch.no_grad():
        figure = empirical_sensitivity(x, layer.before(x), "l2")
    proved = layer.bounds().value()
    assert figure == pytest.approx(1.0)
    assert proved == pytest.approx(np.sqrt(101), rel=1e-6)
    own = Certifier(layer, RobustnessSettings(draws=2000))
    predicted, radii = own.certify(x)
    claimed = radii * proved / figure  # as if Delta were the figure
    attacked = x - torch.tensor(claimed)[:, None] * torch.tensor([[0.0995, 0.995]])
    assert (own.predict(attacked) != predicted).any()
    safe = x - torch.tensor(radii)[:, None] * torch.tensor([[0.0995, 0.995]])
    assert (own.predict(safe) == predicted).all()


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_empirical_figure_is_below_the_proved_norm(norm):
    """By a double loop over pairs."""
    generator = np.random.default_rng(0)
    matrix, x = generator.normal(size=(3, 8)), generator.normal(size=(20, 8))
    power = 1 if norm == "l1" else 2
    expected = max(
        np.linalg.norm(matrix @ (a - b), power) / np.linalg.norm(a - b, power)
        for n, a in enumerate(x)
        for b in x[:n]
    )
    found = empirical_sensitivity(torch.tensor(x), torch.tensor(x @ matrix.T), norm)
    assert found == pytest.approx(expected)
    assert found < np.linalg.norm(matrix, power)
    assert empirical_sensitivity(torch.ones(3, 2), torch.ones(3, 2), norm) == 0


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_projection_is_the_closest_point_of_the_ball(norm):
    """Against a quadratic program solved by scipy for L1, and the formula for L2."""
    from scipy import optimize

    generator = np.random.default_rng(1)
    changes = generator.normal(size=(4, 3)) * [[0.1], [1], [2], [3]]
    found = projected(torch.tensor(changes), 1.0, norm).numpy()
    for change, own in zip(changes, found, strict=True):
        if norm == "l2":
            expected = change * min(1, 1 / np.linalg.norm(change))
        else:
            signed = optimize.minimize(  # positive and negative parts apart
                lambda v, c=change: ((v[:3] - v[3:] - c) ** 2).sum(),
                np.zeros(6),
                bounds=[(0, None)] * 6,
                constraints={"type": "ineq", "fun": lambda v: 1 - v.sum()},
                options={"ftol": 1e-14, "maxiter": 500},
            ).x
            expected = signed[:3] - signed[3:]
        assert own == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_a_table_counts_what_it_says():
    """Certified accuracy falls with the radius and is at most that under the attack."""
    layer = linear(delta=0.05, radius=0.2)
    x = torch.randn(50, 2, dtype=torch.float64) * 2
    targets = (x @ torch.tensor(W, dtype=torch.float64) < 0).long()
    targets[:5] = 1 - targets[:5]  # wrong ones
    settings = RobustnessSettings(radii=(0.5, 0.05, 0.2), draws=1000, attack_steps=10)
    table = certified_table(layer, x, targets, settings)
    assert [row.radius for row in table.rows] == [0.05, 0.2, 0.5]
    certified = [row.certified for row in table.rows]
    assert certified == sorted(certified, reverse=True)
    for row in table.rows:
        assert row.certified == pytest.approx(table.certified_accuracy(row.radius))
        assert row.certified <= row.pgd <= table.clean + 0.05
        assert row.flipped == 0
    assert table.without_noise == 0.9
    assert table.empirical <= table.sensitivity
    assert layer.is_on
    together = certified_table(
        layer, x, targets, RobustnessSettings(draws=1000, attack_steps=0, simultaneous=True)
    )
    assert together.rows[0].pgd is None
    assert np.mean(together.radii) < np.mean(table.radii)
