"""Per-sample gradients through a cut: against autograd sample by sample, and finite differences."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from splitopt.training.model_parts.parts import Part, forward_chain  # noqa: E402
from splitopt.training.privacy.per_sample import (  # noqa: E402
    per_sample_gradients,
)
from splitopt.training.randomness import Stream  # noqa: E402

pytestmark = pytest.mark.train


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


class Scaled(nn.Module):
    """A parameter of one's own, with no rule of its own anywhere."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([0.7, -1.3, 0.4]))

    def forward(self, value):
        return torch.tanh(value * self.scale) + (1 * value).relu_()


class Opaque(torch.autograd.Function):
    """An operation that torch.func cannot call side by side."""

    @staticmethod
    def forward(ctx, value):
        ctx.save_for_backward(value)
        return value**3

    @staticmethod
    def backward(ctx, gradient):
        return 3 * ctx.saved_tensors[0] ** 2 * gradient


class Cubed(nn.Module):
    def forward(self, value):
        return Opaque.apply(value)


def convolutions():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.GroupNorm(2, 4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 5),
    ), torch.randn(6, 1, 8, 8)


def tokens():
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
    model = nn.Sequential(nn.Embedding(11, 8), layer, nn.Flatten(), nn.Linear(32, 5))
    return model, torch.randint(0, 11, (6, 4))


def own_layers():
    return nn.Sequential(nn.Linear(4, 3), Scaled(), nn.Linear(3, 5)), torch.randn(6, 4)


def opaque():
    return nn.Sequential(nn.Linear(4, 3), Cubed(), nn.Linear(3, 5)), torch.randn(6, 4)


MODELS = [convolutions, tokens, own_layers, opaque]


def through_cut(model, cut, inputs, targets, stream=None):
    """Return the device part and its per-sample gradients, from what comes back over the cut."""
    parts = [Part(model[:cut], sgd), Part(model[cut:], sgd)]
    passes = forward_chain(parts, inputs, stream)
    functional.cross_entropy(passes[1].result, targets).backward()
    slow = set()
    found = per_sample_gradients(parts[0], passes[0], passes[1].gradient * len(inputs), slow)
    return parts[0], found, slow


@pytest.mark.parametrize("make_one", MODELS)
def test_equal_to_autograd_sample_by_sample(make_one):
    """The own loss of each sample, alone in the whole model; in float64 to 1e-12."""
    torch.manual_seed(3)
    model, inputs = make_one()
    model = model.double()
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    targets = torch.randint(0, 5, (6,))
    for cut in range(1, len(model)):
        part, found, slow = through_cut(model, cut, inputs, targets)
        assert bool(slow) == (make_one is opaque and cut > 1)
        for row in range(6):
            alone = copy.deepcopy(model)
            loss = functional.cross_entropy(
                alone(inputs[row : row + 1].clone()), targets[row : row + 1]
            )
            loss.backward()
            for (name, own), wanted in zip(
                part.module.named_parameters(), alone[:cut].parameters(), strict=True
            ):
                torch.testing.assert_close(
                    found[own][row], wanted.grad, rtol=1e-12, atol=1e-12, msg=f"{cut} {name}"
                )


def test_equal_to_finite_differences():
    """A number of the first layer moved by 1e-6, in float64."""
    torch.manual_seed(3)
    model, inputs = convolutions()
    model, inputs, targets = model.double(), inputs.double(), torch.tensor([0, 1, 2, 3, 4, 0])
    part, found, _ = through_cut(model, 4, inputs, targets)
    weight = part.module[0].weight
    for place in [(0, 0, 1, 1), (3, 0, 0, 2), (2, 0, 2, 0)]:
        losses = []
        for step in (1e-6, -1e-6):
            moved = copy.deepcopy(model)
            with torch.no_grad():
                moved[0].weight[place] += step
                outputs = moved(inputs.clone())
                losses.append(functional.cross_entropy(outputs, targets, reduction="none"))
        wanted = (losses[0] - losses[1]) / 2e-6
        torch.testing.assert_close(found[weight][:, *place], wanted, rtol=1e-6, atol=1e-8)


def test_the_draws_of_dropout_are_those_of_the_forward_pass():
    """The rows add up to what the batch gives, so that each saw the mask that made its loss."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 30), nn.Dropout(0.5), nn.Linear(30, 5)).double()
    inputs, targets = torch.randn(6, 4).double(), torch.randint(0, 5, (6,))
    part, found, slow = through_cut(model, 2, inputs, targets, Stream(5))
    assert slow
    for parameter in model.parameters():
        parameter.grad = None
    with Stream(5).active():
        functional.cross_entropy(model(inputs), targets).backward()
    for parameter in part.module.parameters():
        torch.testing.assert_close(found[parameter].mean(0), parameter.grad)


def test_the_bytes():
    """A row for every sample, as large as the parameters."""
    torch.manual_seed(3)
    model, inputs = convolutions()
    part, found, _ = through_cut(model, 5, inputs, torch.randint(0, 5, (6,)))
    count = sum(p.numel() for p in part.module.parameters())
    held = sum(value.numel() * value.element_size() for value in found.values())
    assert held == 6 * 4 * count
