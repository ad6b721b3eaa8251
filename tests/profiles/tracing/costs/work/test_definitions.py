"""Counted work against layers from their definitions, whose scalars count their own products."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

pytestmark = pytest.mark.train


@pytest.fixture(autouse=True)
def seeded(definitions):
    torch.manual_seed(0)
    definitions.Tally.forward = definitions.Tally.backward = 0


def compare(definitions, found, expected):
    """Compare work in FLOP, 2 for each product, and values."""
    forward, backward, out = found
    np.testing.assert_allclose(out.numpy(), definitions.values(expected), atol=1e-5)
    assert forward == 2 * definitions.Tally.forward > 0
    assert backward == 2 * definitions.Tally.backward


def tensor_numbers(definitions, tensor):
    return definitions.numbers(tensor.detach().numpy(), tensor.requires_grad)


CONVOLUTIONS = [
    # dimensions, channels in and out, kernel, then options; input needs a gradient or not
    (1, 4, 6, 3, {"padding": 1}, True),
    (1, 4, 6, 3, {"stride": 2, "groups": 2}, True),
    (2, 3, 4, 3, {"stride": 2, "padding": 1}, False),
    (2, 4, 4, 3, {"padding": 1, "groups": 4}, True),
    (2, 4, 8, 2, {"groups": 4}, True),
    (2, 4, 4, 2, {"dilation": 2, "groups": 2}, True),
    (3, 2, 4, 2, {"stride": 2}, True),
    (3, 4, 4, 2, {"groups": 2}, True),
]


@pytest.mark.parametrize(("dims", "given", "made", "kernel", "options", "wanted"), CONVOLUTIONS)
def test_convolutions(definitions, counted, dims, given, made, kernel, options, wanted):
    """Dense, grouped and depthwise, strided, padded and dilated."""
    layer = getattr(nn, f"Conv{dims}d")(given, made, kernel, bias=False, **options)
    x = torch.randn(2, given, *[5, 4, 3][:dims], requires_grad=wanted)
    expected = definitions.convolution(
        tensor_numbers(definitions, x), tensor_numbers(definitions, layer.weight), **options
    )
    compare(definitions, counted(layer, x), expected)


TRANSPOSED = [
    (1, 4, 6, 3, {"stride": 2, "groups": 2}, True),
    (2, 3, 4, 2, {"stride": 2}, False),
    (2, 4, 2, 3, {"stride": 2, "padding": 1}, True),
    (2, 4, 4, 3, {"groups": 4}, True),
    (2, 4, 8, 2, {"groups": 2, "dilation": 2}, True),
    (3, 4, 2, 2, {"groups": 2}, True),
]


@pytest.mark.parametrize(("dims", "given", "made", "kernel", "options", "wanted"), TRANSPOSED)
def test_transposed_convolutions(definitions, counted, dims, given, made, kernel, options, wanted):
    """Every number that goes in is multiplied with each weight of its channel."""
    layer = getattr(nn, f"ConvTranspose{dims}d")(given, made, kernel, bias=False, **options)
    x = torch.randn(2, given, *[3, 4, 2][:dims], requires_grad=wanted)
    expected = definitions.transposed_convolution(
        tensor_numbers(definitions, x), tensor_numbers(definitions, layer.weight), **options
    )
    compare(definitions, counted(layer, x), expected)


@pytest.mark.parametrize(
    ("weight_trained", "input_wanted"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_linear_with_frozen_weights_or_inputs(definitions, counted, weight_trained, input_wanted):
    """Only the gradients that are wanted cost something."""
    layer = nn.Linear(5, 3, bias=False).requires_grad_(weight_trained)
    x = torch.randn(2, 4, 5, requires_grad=input_wanted)
    expected = definitions.linear(
        tensor_numbers(definitions, x), tensor_numbers(definitions, layer.weight)
    )
    compare(definitions, counted(layer, x), expected)


@pytest.mark.parametrize(("weight_trained", "input_wanted"), [(False, True), (True, False)])
def test_a_frozen_convolution_costs_the_gradient_of_its_input(
    definitions, counted, weight_trained, input_wanted
):
    """Grouped, and both ways round."""
    layer = nn.Conv2d(4, 4, 3, groups=2, bias=False).requires_grad_(weight_trained)
    x = torch.randn(2, 4, 5, 4, requires_grad=input_wanted)
    expected = definitions.convolution(
        tensor_numbers(definitions, x), tensor_numbers(definitions, layer.weight), groups=2
    )
    compare(definitions, counted(layer, x), expected)


_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
RECURRENT = [
    ("LSTM", {}),
    ("LSTM", {"num_layers": 2}),
    ("LSTM", {"bidirectional": True}),
    ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ("LSTM", {"proj_size": 2}),
    ("LSTM", {"num_layers": 2, "bidirectional": True, "proj_size": 2}),
    ("GRU", {}),
    ("GRU", {"num_layers": 2, "bidirectional": True}),
    ("RNN", {}),
    ("RNN", {"num_layers": 2, "bidirectional": True}),
]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["kernel", "loop"])
@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize(("kind", "options"), RECURRENT)
def test_recurrent_layers(definitions, counted, kind, options, wanted, dtype):
    """In single precision an LSTM is one kernel of oneDNN; otherwise PyTorch loops over steps."""
    layer = getattr(nn, kind)(3, 4, **options).to(dtype)
    x = torch.randn(5, 2, 3, dtype=dtype, requires_grad=wanted)
    expected = tensor_numbers(definitions, x)
    named = {name: tensor_numbers(definitions, item) for name, item in layer.named_parameters()}
    for level in range(layer.num_layers):
        directions = []
        for reverse in range(1 + layer.bidirectional):
            end = f"l{level}{'_reverse' * reverse}"
            own = [
                named[f"{part}_{end}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            own += [named[f"weight_hr_{end}"]] if layer.proj_size else []
            directions.append(definitions.recurrent(kind, expected, own, 4, reverse=bool(reverse)))
        expected = np.concatenate(directions, axis=2)
    compare(definitions, counted(layer, x), expected)


def test_a_frozen_lstm_costs_the_gradient_of_its_input_and_states(definitions, counted):
    """The kernel has no mask of gradients; those that are not wanted are not counted."""
    layer = nn.LSTM(3, 4).requires_grad_(False)
    x = torch.randn(5, 2, 3, requires_grad=True)
    own = [tensor_numbers(definitions, item) for item in layer.parameters()]
    expected = definitions.recurrent("LSTM", tensor_numbers(definitions, x), own, 4)
    compare(definitions, counted(layer, x), expected)


@pytest.mark.parametrize("heads", [4, 2, 1])
@pytest.mark.parametrize("masked", [False, True])
def test_fused_attention(definitions, counted, heads, masked):
    """Forward by definition; backward the kernel computes the scores once more, which adds half.

    A causal mask takes nothing off: the products are those of all pairs.
    """
    query = torch.randn(1, 4, 5, 3, requires_grad=True)
    key, value = (torch.randn(1, heads, 5, 3, requires_grad=True) for _ in range(2))
    found = counted(
        lambda q, k, v: functional.scaled_dot_product_attention(
            q, k, v, is_causal=masked, enable_gqa=True
        ),
        query,
        key,
        value,
    )
    expected = definitions.attention(
        *(tensor_numbers(definitions, item[0]) for item in (query, key, value))
    )
    if not masked:
        np.testing.assert_allclose(found[2][0].numpy(), definitions.values(expected), atol=1e-5)
    scores = 4 * 5 * 5 * 3
    assert definitions.Tally.forward == 2 * scores
    assert found[0] == 2 * definitions.Tally.forward
    assert found[1] == 2 * (definitions.Tally.backward + scores)


def test_attention_in_its_parts(definitions, counted):
    """With dropout PyTorch runs four matrix products backward, and none again."""
    query, key, value = (torch.randn(1, 2, 5, 3, requires_grad=True) for _ in range(3))
    forward, backward, _ = counted(
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, dropout_p=0.1),
        query,
        key,
        value,
    )
    definitions.attention(*(tensor_numbers(definitions, item[0]) for item in (query, key, value)))
    assert forward == 2 * definitions.Tally.forward
    assert backward == 2 * definitions.Tally.backward


@pytest.mark.parametrize("rows", [(3, 4), (27, 30)], ids=["kernel", "product"])
def test_distances(definitions, counted, rows):
    """Beyond 25 rows PyTorch takes a matrix product; the work is that of the definition."""
    one, two = (torch.randn(count, 3, requires_grad=True) for count in rows)
    expected = definitions.distances(*(tensor_numbers(definitions, item) for item in (one, two)))
    compare(definitions, counted(torch.cdist, one, two), expected)


def test_bilinear(definitions, counted):
    """A trilinear form is contracted with one input and then with the other."""
    layer = nn.Bilinear(3, 4, 5, bias=False)
    one, two = torch.randn(2, 3), torch.randn(2, 4)
    expected = definitions.bilinear(
        *(tensor_numbers(definitions, item) for item in (one, two, layer.weight))
    )
    forward, _, out = counted(layer, one, two)
    np.testing.assert_allclose(out.numpy(), definitions.values(expected), atol=1e-5)
    assert forward == 2 * definitions.Tally.forward == 2 * 2 * 5 * (3 * 4 + 4)
