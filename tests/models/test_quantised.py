"""Frozen weights in few bits: bytes, rounding and gradients, by hand and by numpy."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.models import add_adapters  # noqa: E402
from splitopt.models.adapters.quantised import QuantisedLinear  # noqa: E402

pytestmark = pytest.mark.train


def layer(inputs=7, outputs=5, dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs).to(dtype)


@pytest.mark.parametrize(("bits", "row"), [(8, 7), (4, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_bytes_held(bits, row, dtype):
    """A byte for each weight, or for two of a row of 7; a scale for a row, and the bias."""
    held = QuantisedLinear(layer(dtype=dtype), bits)
    size = torch.empty((), dtype=dtype).element_size()
    found = sum(p.numel() * p.element_size() for p in held.parameters())
    assert found == 5 * row + 5 * size + 5 * size
    assert not any(p.requires_grad for p in held.parameters())


@pytest.mark.parametrize(("bits", "largest"), [(8, 127), (4, 7)])
def test_weights_are_rounded_to_the_nearest_step_of_their_row(bits, largest):
    own = layer(dtype=torch.float64)
    with torch.no_grad():
        own.weight[2] = 0.0
    weight = own.weight.detach().numpy()
    steps = np.abs(weight).max(axis=1, keepdims=True) / largest
    wanted = np.where(steps > 0, np.rint(weight / np.where(steps > 0, steps, 1.0)) * steps, 0.0)
    found = QuantisedLinear(own, bits).dequantised().weight.detach().numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=0)
    assert np.abs(found - weight).max() <= 0.5 * steps.max() * (1 + 1e-12)


@pytest.mark.parametrize("bits", [8, 4])
def test_outputs_and_gradients_are_those_of_the_rounded_layer(bits):
    held = QuantisedLinear(layer(), bits)
    plain = held.dequantised()
    torch.manual_seed(1)
    x = torch.randn(3, 2, 7)
    one, two = x.clone().requires_grad_(), x.clone().requires_grad_()
    direction = torch.randn(3, 2, 5)
    (held(one) * direction).sum().backward()
    (plain(two) * direction).sum().backward()
    torch.testing.assert_close(held(x), plain(x))
    torch.testing.assert_close(one.grad, two.grad)


def test_autograd_keeps_nothing_of_the_weight_as_it_is_multiplied():
    """All that is saved for the backward pass are the module's own tensors."""
    held = QuantisedLinear(layer(64, 32), 8)
    own = {p.data_ptr() for p in held.parameters()}
    saved = []
    x = torch.randn(2, 64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(saved.append, lambda item: item):
        held(x)
    assert saved
    assert all(tensor.data_ptr() in own for tensor in saved)


def test_layers_without_an_adapter_are_held_in_few_bits_too():
    model = add_adapters(nn.Sequential(layer(8, 8), nn.ReLU(), layer(8, 3)), 2, targets="0",
                         frozen_bits=4)  # fmt: skip
    assert isinstance(model[2], QuantisedLinear)
    assert isinstance(model[0].base, QuantisedLinear)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained == ["0.lora_A.weight", "0.lora_B.weight"]


def test_several_models_at_once():
    """What is trained side by side is mapped over a stack of inputs."""
    held = QuantisedLinear(layer(), 8)
    x = torch.randn(4, 3, 7)
    torch.testing.assert_close(torch.vmap(held)(x), held(x))
