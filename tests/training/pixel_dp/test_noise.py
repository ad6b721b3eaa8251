"""The noise layer: its distribution, one draw for a pass both ways, and what copies share."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.training.model_parts.parts import Part  # noqa: E402
from splitopt.training.pixel_dp_options import PixelDP  # noqa: E402
from splitopt.training.privacy.pixel.noise import NoisyPart, PixelEntropy  # noqa: E402

pytestmark = pytest.mark.train


def noisy(seed=0, behind=None, **given):
    """Return a linear layer with noise behind it, in float64, and its proved sensitivity."""
    torch.manual_seed(1)
    before = nn.Linear(6, 4).double()
    settings = PixelDP(**{"after": "a", "epsilon": 0.5, **given})
    example = torch.zeros(2, 6, dtype=torch.float64)
    layer = NoisyPart(before, behind, settings, PixelEntropy(seed), example)
    power = 2 if settings.mechanism == "gaussian" else 1
    return layer, float(torch.linalg.matrix_norm(before.weight.detach(), power))


@pytest.mark.parametrize(
    ("mechanism", "scale"),
    [("gaussian", np.sqrt(2 * np.log(1.25 / 1e-5)) * 0.1 / 0.5), ("laplace", 0.1 / 0.5)],
)
def test_noise_has_the_distribution_that_it_is_said_to_have(mechanism, scale):
    """Kolmogorov and Smirnov, against scipy's distribution of the scale by the formula."""
    layer, delta = noisy(mechanism=mechanism)
    inputs = torch.randn(2500, 6, dtype=torch.float64)
    with torch.no_grad():
        drawn = (layer(inputs) - layer.before(inputs)).ravel().numpy()
    kind = stats.norm if mechanism == "gaussian" else stats.laplace
    assert layer.scale() == pytest.approx(scale * delta, rel=1e-6)
    assert stats.kstest(drawn, kind(scale=scale * delta).cdf).pvalue > 0.01
    assert stats.kstest(drawn, kind(scale=0.9 * scale * delta).cdf).pvalue < 1e-4


def test_noise_averages_out_over_draws():
    layer, _ = noisy()
    one = torch.randn(1, 6, dtype=torch.float64)
    with torch.no_grad():
        mean = layer(one.repeat(20_000, 1)).mean(dim=0)
        off = (mean - layer.before(one)[0]).abs().max()
    assert float(off) < 5 * layer.scale() / np.sqrt(20_000)


def test_the_backward_pass_has_the_noise_of_its_forward_pass():
    """Behind the noise is a square, whose slope is that at the noisy value: of this draw."""

    class Square(nn.Module):
        def forward(self, x):
            return x.square()

    layer, _ = noisy(behind=Square())
    inputs = torch.randn(3, 6, dtype=torch.float64)
    result = layer(inputs)
    result.sum().backward()
    value = layer.before(inputs).detach()
    with_noise = result.detach().sqrt()  # up to its sign, which is that of one of two numbers
    slope = layer.before.bias.grad
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 3)
    for k in range(4):
        possible = 2 * (signs * with_noise[:, k]).sum(dim=1)
        assert float((possible - slope[k]).abs().min()) < 1e-12
    assert float((with_noise - value.abs()).abs().min()) > 1e-6  # there was noise


def test_each_pass_draws_anew_and_copies_never_repeat():
    layer, _ = noisy()
    inputs = torch.zeros(1, 6, dtype=torch.float64)
    other = copy.deepcopy(layer)
    with torch.no_grad():
        drawn = [layer(inputs), layer(inputs), other(inputs), noisy(seed=9)[0](inputs)]
    assert all(not torch.equal(a, b) for n, a in enumerate(drawn) for b in drawn[:n])
    with torch.no_grad():
        again = noisy()[0](inputs)
    assert torch.equal(drawn[0], again)  # of the same test seed
    with pytest.raises(TypeError, match="neither sent nor kept"):
        pickle.dumps(PixelEntropy())
    assert repr(PixelEntropy()) == "PixelEntropy(secret)"
    assert not layer.state_dict().keys() - {"before.weight", "before.bias"}


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_noise_follows_the_weights(optimizer):
    """After steps of an optimizer, and after weights are written into it in place."""
    layer, delta = noisy()
    assert layer.sensitivity() == pytest.approx(delta, rel=1e-6)
    part = Part(layer, lambda own: getattr(torch.optim, optimizer)(own, lr=0.1))
    for _ in range(3):
        held = part.forward(torch.randn(5, 6, dtype=torch.float64))
        held.backward(torch.randn(5, 4, dtype=torch.float64))
        part.step()
        now = float(torch.linalg.matrix_norm(layer.before.weight.detach(), 2))
        assert layer.sensitivity() == pytest.approx(now, rel=1e-6)
    layer.before.weight.data.mul_(7)
    assert layer.sensitivity() == pytest.approx(7 * now, rel=1e-6)
    assert copy.deepcopy(layer).sensitivity() == layer.sensitivity()


def test_normalised_weights_keep_their_noise():
    """Every step is brought back, and the noise is that of a sensitivity of 1."""
    layer, _ = noisy(keep="normalise")
    part = Part(layer, lambda own: torch.optim.SGD(own, lr=1.0))
    layer.restrain()
    for _ in range(3):
        held = part.forward(torch.randn(5, 6, dtype=torch.float64))
        held.backward(3 * torch.randn(5, 4, dtype=torch.float64))
        part.step()
        assert float(torch.linalg.matrix_norm(layer.before.weight.detach(), 2)) <= 1
        assert layer.sensitivity() == 1


def test_without_noise_it_is_the_model():
    layer, _ = noisy(behind=nn.ReLU())
    layer.is_on = False
    inputs = torch.randn(4, 6, dtype=torch.float64)
    assert torch.equal(layer(inputs), layer.before(inputs).relu())
