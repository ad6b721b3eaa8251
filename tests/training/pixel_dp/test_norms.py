"""Operator norms against numpy's SVD of matrices made of unit vectors; layers against inputs."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt import InputError  # noqa: E402
from splitopt.training.privacy.pixel import operators  # noqa: E402
from splitopt.training.privacy.pixel.layers import KNOWN, LINEAR  # noqa: E402
from splitopt.training.privacy.pixel.operators import fourier_bound, linear_of, norm_of  # noqa: E402
from splitopt.training.privacy.pixel.sensitivity import Sensitivity  # noqa: E402

pytestmark = pytest.mark.train

LAYERS = [
    (lambda: nn.Linear(7, 5), (7,)),
    (lambda: nn.Linear(7, 5), (3, 7)),
    (lambda: nn.Conv1d(2, 3, 3, padding=2), (2, 6)),
    (lambda: nn.Conv2d(3, 4, 3, padding=1), (3, 6, 5)),
    (lambda: nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(0, 3)), (2, 7, 6)),
    (lambda: nn.Conv2d(2, 4, 3, dilation=2, padding=1), (2, 7, 7)),
    (lambda: nn.Conv2d(4, 6, 3, groups=2, padding=1), (4, 5, 5)),
    (lambda: nn.Conv2d(2, 2, 5, padding=4), (2, 3, 3)),
    (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 5, 5)),
    (lambda: nn.Conv2d(2, 3, 3, padding="same", padding_mode="reflect"), (2, 5, 5)),
    (lambda: nn.Conv3d(1, 2, 2), (1, 3, 4, 3)),
    (lambda: nn.ConvTranspose2d(2, 3, 3, stride=2), (2, 4, 4)),
    (lambda: nn.AvgPool2d(2), (2, 6, 6)),
    (lambda: nn.AvgPool2d(3, stride=1, padding=1), (1, 5, 5)),
    (lambda: nn.AdaptiveAvgPool2d(2), (1, 5, 5)),
]


def explicit(layer, shape):
    """Return the matrix of a layer, column by column: what a unit vector adds to the bias."""
    layer = layer.double()
    count = math.prod(shape)
    with torch.no_grad():
        rest = layer(torch.zeros((1, *shape), dtype=torch.float64)).ravel()
        columns = []
        for place in range(count):
            unit = torch.zeros(count, dtype=torch.float64)
            unit[place] = 1
            columns.append((layer(unit.reshape(1, *shape)).ravel() - rest).numpy())
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(("make", "shape"), LAYERS)
def test_norms_are_those_of_the_explicit_matrix(make, shape):
    """Exactly for small layers; bounded from above by what is used for large ones."""
    torch.manual_seed(0)
    layer = make()
    linear, matrix = linear_of(layer, shape), explicit(layer, shape)
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    assert norm_of(linear, "l2").value == pytest.approx(largest, rel=1e-6)
    assert norm_of(linear, "l2").value >= largest * (1 - 1e-12)
    sums = np.abs(matrix).sum(axis=0).max()
    assert norm_of(linear, "l1").value >= sums * (1 - 1e-12)
    if getattr(layer, "padding_mode", "") != "reflect":  # an input is in a sum twice, with signs
        assert norm_of(linear, "l1").value == pytest.approx(sums, rel=1e-6)
    if linear.symbol is not None:
        assert largest <= fourier_bound(linear.symbol()) * (1 + 1e-12)
        assert fourier_bound(linear.symbol()) < 1.6 * largest


def test_large_layers_are_bounded_from_above(monkeypatch):
    """Without the singular values the bound is larger by little, and never smaller."""
    torch.manual_seed(1)
    for layer, shape in [(make(), shape) for make, shape in LAYERS]:
        exact = norm_of(linear_of(layer, shape), "l2")
        with monkeypatch.context() as patch:
            patch.setattr(operators, "MOST_ENTRIES", 0)
            bound = norm_of(linear_of(layer, shape), "l2")
        assert exact.how == "singular values" != bound.how
        assert exact.value <= bound.value * (1 + 1e-12) < 3 * exact.value


def test_the_fourier_bound_comes_close_on_large_images():
    """Of a circular convolution it is the norm itself; padding matters less on larger images."""
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, padding=1)
    found = []
    for side in (4, 8, 16):
        exact = np.linalg.svd(explicit(layer, (2, side, side)), compute_uv=False)[0]
        found.append(fourier_bound(linear_of(layer, (2, side, side)).symbol()) / exact)
    assert found[0] > found[2] >= 1
    assert found[2] < 1.03


def moved(layer, shape, norm, tries=300, seed=0):
    """Return the largest quotient of moves that random pairs of inputs have."""
    generator = torch.Generator().manual_seed(seed)
    power = 1 if norm == "l1" else 2
    one = 3 * torch.randn((tries, *shape), generator=generator, dtype=torch.float64)
    step = torch.randn((tries, *shape), generator=generator, dtype=torch.float64)
    kept = torch.rand((tries, *shape), generator=generator) < 0.2  # sparse ones move maxima
    other = one + step * kept * 10 ** torch.randint(-3, 2, (tries, *[1] * len(shape))).double()
    with torch.no_grad():
        out = (layer(one) - layer(other)).flatten(1).norm(power, dim=1)
    return float((out / (one - other).flatten(1).norm(power, dim=1).clamp_min(1e-12)).max())


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("kind", sorted(KNOWN, key=lambda kind: kind.__name__))
def test_no_inputs_are_stretched_further_than_a_layer_is_said_to(kind, norm):
    arguments = {"MaxPool": (3, 1), "Unflatten": (1, (1, 2))}
    name = kind.__name__.rstrip("123d")
    layer = kind(*arguments.get(name, ())).double().eval()
    shape = {"1": (2, 8), "3": (2, 4, 4, 4)}.get(kind.__name__[-2:-1], (2, 6, 6))
    bound = KNOWN[kind](layer, norm).value
    assert moved(layer, shape, norm) <= bound * (1 + 1e-9)


def test_overlapping_maxima_stretch_by_more_than_one():
    """One spike is the maximum of k^2 windows: their move is k in L2 and k^2 in L1."""
    layer = nn.MaxPool2d(3, stride=1)
    spike = torch.zeros(1, 1, 7, 7)
    spike[0, 0, 3, 3] = 1.0
    out = layer(spike) - layer(torch.zeros(1, 1, 7, 7))
    assert float(out.norm()) == 3 == KNOWN[nn.MaxPool2d](layer, "l2").value
    assert float(out.abs().sum()) == 9 == KNOWN[nn.MaxPool2d](layer, "l1").value
    assert KNOWN[nn.MaxPool2d](nn.MaxPool2d(2), "l2").value == 1
    assert KNOWN[nn.MaxPool2d](nn.MaxPool2d(3, 2), "l2").value == 2  # ceil(3/2) = 2 each way


def test_slopes_of_smooth_activations_are_the_steepest_ones():
    x = torch.linspace(-6, 6, 200_001, dtype=torch.float64, requires_grad=True)
    for kind in (nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh):
        (slope,) = torch.autograd.grad(kind()(x).sum(), x)
        bound = KNOWN[kind](kind(), "l2").value
        assert float(slope.abs().max()) <= bound <= float(slope.abs().max()) + 1e-3


class Residual(nn.Module):
    """Two branches that are added up, with functions and methods in place of layers."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 1)
        self.shift = nn.Parameter(torch.randn(2, 1, 1))

    def forward(self, x):
        value = torch.relu(self.one(x)) + self.two(x) + self.shift
        value = nn.functional.max_pool2d(value + value, 2)
        return value.view(x.size(0), -1)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_branches_add_up_and_layers_multiply(norm):
    torch.manual_seed(0)
    model = Residual().double()
    found = Sensitivity(model, torch.zeros(2, 1, 6, 6, dtype=torch.float64), norm).value()
    one, two = (
        norm_of(linear_of(layer, (1, 6, 6)), norm).value for layer in (model.one, model.two)
    )
    assert found == pytest.approx(2 * (one + two), rel=1e-9)
    assert moved(model, (1, 6, 6), norm) <= found


def test_a_chain_is_bounded_by_its_product_and_follows_its_weights():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4), nn.Tanh())
    own = Sensitivity(model, torch.zeros(2, 1, 6, 6), "l2")
    matrices = [explicit(model[0], (1, 6, 6)), explicit(model[3], (48,))]
    norms = [np.linalg.svd(matrix, compute_uv=False)[0] for matrix in matrices]
    model.float()
    assert own.value() == pytest.approx(norms[0] * norms[1], rel=1e-6)
    # With nothing between that bends, the norm of the product is below the product of the norms.
    with torch.no_grad():
        model[3].weight.mul_(3)
    assert own.value() == pytest.approx(3 * norms[0] * norms[1], rel=1e-6)


@pytest.mark.one_quick
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_normalised_weights_have_norms_of_at_most_one(norm):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4))
    with torch.no_grad():
        model[0].weight.mul_(9)
        model[3].weight.mul_(0.1)
    small = model[3].weight.clone()
    own = Sensitivity(model, torch.zeros(2, 1, 6, 6), norm)
    own.normalise()
    first, last = own.bounds()[0].bound.value, own.bounds()[3].bound.value
    assert 1 - 1e-5 < first <= 1
    assert last < 1
    assert torch.equal(model[3].weight, small)  # what is below stays as it is
    assert own.value() == pytest.approx(first * last, rel=1e-9)
    assert own.value(normalised=True) == 1


class Odd(nn.Module):
    """Does one thing of which nothing is known."""

    def __init__(self, what):
        super().__init__()
        self.what, self.linear = what, nn.Linear(4, 4)

    def forward(self, x):
        return self.what(self.linear(x))


class Doubled(nn.ReLU):
    def forward(self, x):
        return 2 * x


def hooked():
    layer = nn.Linear(4, 4)
    layer.register_forward_hook(lambda *_: None)
    return layer


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), r"has 1 before it \(BatchNor"),
        (lambda: nn.LayerNorm(4), "LayerNorm"),
        (Doubled, "cannot be followed|Doubled|mul"),
        (hooked, "Linear"),
        (lambda: Odd(lambda y: y * y), "mul"),
        (lambda: Odd(lambda y: 5 * y), "mul"),
        (lambda: Odd(lambda y: y.softmax(1)), "softmax"),
        (lambda: Odd(lambda y: torch.add(y, y, alpha=7)), "a sum of tensors"),
        (lambda: Odd(lambda y: y + y.mean()), "mean"),
        (lambda: Odd(lambda y: y + y[:1]), "getitem"),
        (lambda: Odd(lambda y: y.reshape(1, -1)), "first axis"),
        (lambda: Odd(lambda y: y if y.sum() > 0 else -y), "cannot be followed"),
        (lambda: Odd(lambda y: y + y.max().item()), "before it"),
        (lambda: nn.MaxPool1d(2, return_indices=True), "before it"),
        (lambda: nn.GRU(4, 4), "before it"),
    ],
)
def test_what_is_not_known_is_refused_by_name(make, words):
    with pytest.raises(InputError, match=words):
        Sensitivity(make(), torch.randn(2, 4), "l2")


def test_every_linear_layer_of_the_table_was_tried():
    tried = {type(make()) for make, _ in LAYERS}
    alike = {nn.AvgPool1d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool3d}
    assert tried | alike | {nn.ConvTranspose1d, nn.ConvTranspose3d} == LINEAR
