"""Distance correlation by its double sum, its gradient by finite differences, and NoPeek's step."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt import InputError  # noqa: E402
from splitopt.privacy.leakage import similarity  # noqa: E402
from splitopt.training.model_parts.dependence import distance_correlation, nopeek  # noqa: E402
from splitopt.training.model_parts.parts import Part  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402

pytestmark = pytest.mark.train


def batch(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def by_double_sums(x, y):
    """Szekely et al. (2007), Eq. 2.8-2.10, every sum written out."""
    n = len(x)

    def centred(rows):
        d = [[math.dist(a, b) for b in rows] for a in rows]
        means = [sum(row) / n for row in d]
        whole = sum(means) / n
        return [[d[i][j] - means[i] - means[j] + whole for j in range(n)] for i in range(n)]

    a, b = centred(x), centred(y)
    pairs = [(i, j) for i in range(n) for j in range(n)]
    both = sum(a[i][j] * b[i][j] for i, j in pairs) / n**2
    own = [sum(c[i][j] ** 2 for i, j in pairs) / n**2 for c in (a, b)]
    return math.sqrt(both / math.sqrt(own[0] * own[1]))


def test_it_is_the_double_sum_and_what_leakage_measures():
    x, y = batch(7, 1, 3, 3), batch(7, 5, seed=1)
    y = y + x.flatten(1)[:, :5]
    expected = by_double_sums(x.flatten(1).tolist(), y.tolist())
    assert float(distance_correlation(x, y)) == pytest.approx(expected, rel=1e-10)
    assert similarity.distance_correlation(x, y) == pytest.approx(expected, rel=1e-10)
    assert float(distance_correlation(x.float(), y.float())) == pytest.approx(expected, rel=1e-5)


def test_its_ends():
    x = batch(6, 4)
    assert float(distance_correlation(x, 3 * x + 1)) == pytest.approx(1)
    constant = torch.ones(6, 2, dtype=torch.float64, requires_grad=True)
    found = distance_correlation(x, constant)
    found.backward()
    assert float(found.detach()) == 0
    assert bool(constant.grad.isfinite().all())


def test_its_gradient_is_that_of_finite_differences():
    x, y = batch(6, 3), batch(6, 4, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda own: distance_correlation(x, own), (y,), atol=1e-6)


def test_equal_samples_have_a_gradient():
    """The distance of two equal samples has a kink, where it counts as flat."""
    y = batch(5, 3)
    y[1] = y[0]
    y.requires_grad_()
    distance_correlation(batch(5, 3, seed=1), y).backward()
    assert bool(y.grad.isfinite().all())


def test_a_part_adds_it_to_the_gradient_that_comes_back():
    """The gradient of gradient * result + 3 dCor(x, result), by autograd in one sum."""
    torch.manual_seed(0)
    layer = nn.Linear(4, 3).double()
    part = Part(layer, lambda own: torch.optim.SGD(own, lr=0.1), penalty=nopeek(3.0))
    x, back = batch(6, 4), batch(6, 3, seed=1)
    held = part.forward(x, first=True)
    held.backward(back)
    result = layer(x)
    whole = (back * result).sum() + 3 * distance_correlation(x, result)
    expected = torch.autograd.grad(whole, list(layer.parameters()))
    for parameter, value in zip(layer.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, value, atol=1e-12)


@pytest.mark.slow
def test_training_with_it_lowers_the_distance_correlation(plan_of):
    """Of the same plan and seed; the history has it on the test data."""
    plan = plan_of("few-splitfed")
    found = {
        weight: splitopt.train(
            plan, rounds=4, options=Options(learning_rate=0.1, momentum=0.9, nopeek=weight)
        )
        for weight in (1e-9, 5.0)
    }
    rows = {weight: run.history.rows[-1] for weight, run in found.items()}
    assert rows[5.0].distance_correlation < rows[1e-9].distance_correlation - 0.02
    assert found[5.0].history.origin["nopeek"] == 5.0
    assert found[5.0].history.to_csv().splitlines()[0].endswith("distance_correlation")


def test_where_it_cannot_be():
    with pytest.raises(InputError, match="nopeek: compares the samples of a batch"):
        Options(nopeek=1.0, privacy=Privacy(1.0, 1.0))


def test_schemes_that_cut_nothing(plan_of):
    with pytest.raises(InputError, match="nopeek: is for what crosses a cut"):
        splitopt.train(
            plan_of("few-splitfed"), scheme="federated", rounds=1, options=Options(nopeek=1.0)
        )
