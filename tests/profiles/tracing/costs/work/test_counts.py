"""Counted work against closed formulas of the layers, written down by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

pytestmark = pytest.mark.train

B = 3


def on(device, *shape, wanted=True):
    return torch.empty(shape, device=device).normal_().requires_grad_(wanted)


def lstm(steps, sizes, gates=4, directions=1, sequences=B):
    """Forward and backward of recurrent layers of (inputs, state) sizes; the input is wanted."""
    forward = backward = 0
    for into, state in sizes:
        own = gates * state
        forward += 2 * steps * own * (into + state)
        # Inputs and both weights at every step, the state at all but the first.
        backward += 2 * steps * own * (2 * into + state) + 2 * (steps - sequences) * own * state
    return directions * forward, directions * backward


# Name -> (layer, shapes of the inputs, forward, backward); FLOP of a batch of B, all inputs wanted.
FORMULAS = {
    "linear": (lambda: nn.Linear(7, 5), [(B, 7)], 2 * B * 35, 4 * B * 35),
    "linear on 4-d": (lambda: nn.Linear(7, 5), [(B, 2, 4, 7)], 2 * B * 8 * 35, 4 * B * 8 * 35),
    "conv1d": (
        lambda: nn.Conv1d(4, 6, 3, padding="same"), [(B, 4, 20)],
        2 * B * 20 * 6 * 4 * 3, 4 * B * 20 * 6 * 4 * 3,
    ),
    "conv1d dilated": (
        lambda: nn.Conv1d(4, 6, 3, dilation=4), [(B, 4, 20)],
        2 * B * 12 * 6 * 4 * 3, 4 * B * 12 * 6 * 4 * 3,
    ),
    "conv2d strided": (
        lambda: nn.Conv2d(3, 8, 5, stride=2, padding=2), [(B, 3, 16, 12)],
        2 * B * 8 * 6 * 8 * 3 * 25, 4 * B * 8 * 6 * 8 * 3 * 25,
    ),
    "conv2d of a rectangle": (
        lambda: nn.Conv2d(3, 8, (1, 3)), [(B, 3, 6, 12)],
        2 * B * 6 * 10 * 8 * 3 * 3, 4 * B * 6 * 10 * 8 * 3 * 3,
    ),
    "conv2d in 4 groups": (
        lambda: nn.Conv2d(16, 32, 3, padding=1, groups=4), [(B, 16, 8, 8)],
        2 * B * 64 * 32 * 4 * 9, 4 * B * 64 * 32 * 4 * 9,
    ),
    "conv2d depthwise": (
        lambda: nn.Conv2d(32, 32, 3, padding=1, groups=32), [(B, 32, 8, 8)],
        2 * B * 64 * 32 * 9, 4 * B * 64 * 32 * 9,
    ),
    "conv2d depthwise with a multiplier": (
        lambda: nn.Conv2d(8, 24, 3, stride=2, padding=1, groups=8), [(B, 8, 8, 8)],
        2 * B * 16 * 24 * 9, 4 * B * 16 * 24 * 9,
    ),
    "conv2d circular": (
        lambda: nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), [(B, 4, 8, 8)],
        2 * B * 64 * 16 * 9, 4 * B * 64 * 16 * 9,
    ),
    "conv3d": (
        lambda: nn.Conv3d(2, 4, 3, padding=1, groups=2), [(B, 2, 4, 5, 6)],
        2 * B * 120 * 4 * 27, 4 * B * 120 * 4 * 27,
    ),
    "conv transposed 1d": (
        lambda: nn.ConvTranspose1d(4, 6, 4, stride=2), [(B, 4, 9)],
        2 * B * 9 * 4 * 6 * 4, 4 * B * 9 * 4 * 6 * 4,
    ),
    "conv transposed 2d in groups": (
        lambda: nn.ConvTranspose2d(8, 12, 3, stride=2, padding=1, output_padding=1, groups=4),
        [(B, 8, 5, 7)], 2 * B * 35 * 8 * 3 * 9, 4 * B * 35 * 8 * 3 * 9,
    ),
    "conv transposed 2d depthwise": (
        lambda: nn.ConvTranspose2d(8, 8, 2, stride=2, groups=8), [(B, 8, 5, 7)],
        2 * B * 35 * 8 * 4, 4 * B * 35 * 8 * 4,
    ),
    "conv transposed 3d": (
        lambda: nn.ConvTranspose3d(2, 4, 2), [(B, 2, 3, 4, 5)],
        2 * B * 60 * 2 * 4 * 8, 4 * B * 60 * 2 * 4 * 8,
    ),
    "lstm": (lambda: nn.LSTM(6, 8, batch_first=True), [(B, 10, 6)], *lstm(B * 10, [(6, 8)])),
    "lstm of 3 layers": (
        lambda: nn.LSTM(6, 8, 3), [(10, B, 6)], *lstm(B * 10, [(6, 8), (8, 8), (8, 8)])
    ),
    "lstm both ways": (
        lambda: nn.LSTM(6, 8, 2, bidirectional=True), [(10, B, 6)],
        *lstm(B * 10, [(6, 8), (16, 8)], directions=2),
    ),
    "gru of 2 layers": (
        lambda: nn.GRU(6, 8, 2, batch_first=True), [(B, 10, 6)],
        *lstm(B * 10, [(6, 8), (8, 8)], gates=3),
    ),
    "rnn both ways": (
        lambda: nn.RNN(6, 8, bidirectional=True, nonlinearity="relu"), [(10, B, 6)],
        *lstm(B * 10, [(6, 8)], gates=1, directions=2),
    ),
    "lstm cell": (lambda: nn.LSTMCell(6, 8), [(B, 6)], *lstm(B, [(6, 8)])),
    "gru cell": (lambda: nn.GRUCell(6, 8), [(B, 6)], *lstm(B, [(6, 8)], gates=3)),
    "linear among others": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.Flatten(), nn.LayerNorm(4), nn.GELU()),
        [(B, 4)], 2 * B * 16, 4 * B * 16,
    ),
    "matrix times vector": (lambda: torch.mv, [(6, 5), (5,)], 2 * 30, 4 * 30),
    "added matrix times vector": (lambda: torch.addmv, [(6,), (6, 5), (5,)], 2 * 30, 4 * 30),
    "dot": (lambda: torch.dot, [(9,), (9,)], 2 * 9, 0),
    "outer": (lambda: torch.outer, [(6,), (5,)], 2 * 30, 4 * 30),
    "added outer": (lambda: torch.addr, [(6, 5), (6,), (5,)], 2 * 30, 4 * 30),
    "batched": (lambda: torch.bmm, [(B, 4, 5), (B, 5, 6)], 2 * B * 120, 4 * B * 120),
    "added batched": (
        lambda: torch.baddbmm, [(B, 4, 6), (B, 4, 5), (B, 5, 6)], 2 * B * 120, 4 * B * 120
    ),
    "added up batched": (
        lambda: torch.addbmm, [(4, 6), (B, 4, 5), (B, 5, 6)], 2 * B * 120, 4 * B * 120
    ),
    "einsum of matrices": (
        lambda: lambda a, b: torch.einsum("bij,kj->bik", a, b), [(B, 4, 5), (6, 5)],
        2 * B * 120, 4 * B * 120,
    ),
    "einsum with heads": (
        lambda: lambda a, b: torch.einsum("bqhd,bkhd->bhqk", a, b), [(B, 7, 2, 5), (B, 6, 2, 5)],
        2 * B * 2 * 7 * 6 * 5, 4 * B * 2 * 7 * 6 * 5,
    ),
    "einsum of three": (  # a pair first, over one index, then the third over the other
        lambda: lambda a, b, c: torch.einsum("bi,ij,bj->b", a, b, c), [(B, 4), (4, 4), (B, 4)],
        2 * B * (16 + 4), 4 * B * (16 + 4),
    ),
    "einsum outer": (
        lambda: lambda a, b: torch.einsum("bi,bj->bij", a, b), [(B, 4), (B, 5)],
        2 * B * 20, 4 * B * 20,
    ),
    "a product written as a sum": (
        lambda: lambda a, b: (a[:, :, None] * b).sum(1), [(B, 4), (4, 5)], 2 * B * 20, 4 * B * 20
    ),
    "gates that scale channels": (
        lambda: lambda a, b: a * b[:, :, None], [(B, 4, 5), (B, 4)], 0, 0
    ),
    "distances": (lambda: torch.cdist, [(B, 30, 4), (B, 40, 4)], 2 * B * 4800, 4 * B * 4800),
    "distances of p = 1": (
        lambda: lambda a, b: torch.cdist(a, b, p=1.0), [(B, 5, 4), (B, 6, 4)],
        2 * B * 120, 4 * B * 120,
    ),
    "distances within": (lambda: functional.pdist, [(7, 4)], 2 * 21 * 4, 4 * 21 * 4),
}  # fmt: skip


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", FORMULAS)
def test_formula(counted, name, device):
    """The same on shapes alone: what PyTorch runs differs there, the work does not."""
    build, shapes, forward, backward = FORMULAS[name]
    layer = build()
    if isinstance(layer, nn.Module):
        layer = layer.to(device)
    found = counted(layer, *(on(device, *shape) for shape in shapes))
    assert found[:2] == (forward, backward)


def test_bilinear_by_the_order_in_which_it_is_evaluated(counted):
    """(2, 3, 5) values: 30 products with the first input or the gradient, then with the rest.

    Forward 30 + 15 per sample; the gradient of the first input sums over outputs, 30 + 6; that
    of the second over the first input, 30 + 15; that of the weight takes the outer product of
    the first input and the gradient, 10, and 30.
    """
    layer = nn.Bilinear(2, 3, 5)
    found = counted(layer, on("cpu", B, 2), on("cpu", B, 3))
    assert found[:2] == (2 * B * (30 + 15), 2 * B * (30 + 6 + 30 + 15 + 10 + 30))


def test_packed_sequences_cost_their_own_steps(counted):
    """Lengths 5, 3 and 2 are 10 steps, whatever the padding."""
    layer = nn.LSTM(4, 8)
    x = on("cpu", 5, B, 4)
    found = counted(lambda x: layer(nn.utils.rnn.pack_padded_sequence(x, [5, 3, 2]))[0].data, x)
    assert found[:2] == lstm(10, [(4, 8)])


def test_a_state_that_is_given_and_wanted(counted):
    """Its gradient is one more product with the weights of the state."""
    layer = nn.LSTM(4, 8)
    state, cell = on("cpu", 1, B, 8), on("cpu", 1, B, 8)
    found = counted(lambda x: layer(x, (state, cell))[0], on("cpu", 5, B, 4))
    forward, backward = lstm(5 * B, [(4, 8)], sequences=0)
    assert found[:2] == (forward, backward)


@pytest.mark.parametrize("weights", [True, False])
def test_multi_head_attention(counted, weights):
    """Four projections and two products with all pairs; fused, the scores are computed anew."""
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    x = on("cpu", B, 6, 8)
    found = counted(lambda x: layer(x, x, x, need_weights=weights), x)
    forward = B * (4 * 2 * 6 * 64 + 2 * 2 * 36 * 8)
    again = 0 if weights else B * 2 * 36 * 8
    assert found[:2] == (forward, 2 * forward + again)


def test_transformer_encoder_layer(counted):
    """Attention of width 8 and two linear layers of 16, 6 positions; dropout keeps it unfused."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    found = counted(layer, on("cpu", B, 6, 8))
    forward = B * (4 * 2 * 6 * 64 + 2 * 2 * 36 * 8 + 2 * 2 * 6 * 8 * 16)
    assert found[:2] == (forward, 2 * forward)


@pytest.mark.parametrize("lengths", [None, (6, 4, 1)])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_the_fast_path_of_encoder_layers(counted, lengths):
    """In evaluation an encoder layer is one operator; nested tensors leave the padding out."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=True).eval()
    mask = None
    if lengths is not None:
        mask = torch.arange(6) >= torch.tensor(lengths)[:, None]
    with torch.no_grad():
        found = counted(
            lambda x: encoder(x, src_key_padding_mask=mask), on("cpu", B, 6, 8, wanted=False)
        )
    each = [8 * n * 64 + 4 * n * n * 8 + 4 * n * 8 * 16 for n in lengths or (6, 6, 6)]
    assert found[0] == 2 * sum(each)


def test_grouped_query_attention_of_other_widths(counted):
    """4 heads of queries on 2 of keys, 5 on 7 positions, keys 8 and values 4 wide."""
    shapes = [(B, 4, 5, 8), (B, 2, 7, 8), (B, 2, 7, 4)]
    found = counted(
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        *(on("cpu", *shape) for shape in shapes),
    )
    forward = 2 * B * 4 * 5 * 7 * (8 + 4)
    assert found[:2] == (forward, 2 * forward)  # unlike widths are not fused


def test_lookups_cost_nothing(counted):
    """Embeddings and bags of them, pooling, resampling, normalisation, sorting, dropout."""
    tokens = torch.randint(0, 9, (B, 4))
    assert counted(nn.Embedding(9, 5), tokens)[:2] == (0, 0)
    assert counted(nn.EmbeddingBag(9, 5), tokens)[:2] == (0, 0)
    layers = [
        nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.LocalResponseNorm(2),
        nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(3), nn.AdaptiveMaxPool2d(3),
        nn.Upsample(scale_factor=2, mode="bicubic"), nn.PixelShuffle(2), nn.ReflectionPad2d(1),
        nn.Dropout(0.1), nn.SiLU(), nn.Hardswish(), nn.PReLU(), nn.Softmax(1), nn.GLU(1),
        nn.Unfold(3), nn.Flatten(), nn.Mish(), nn.Softplus(), nn.ELU(), nn.LogSoftmax(1),
    ]  # fmt: skip
    for layer in layers:
        assert counted(layer, on("cpu", B, 4, 6, 6))[:2] == (0, 0), layer
    for function in (
        lambda x: x.sort()[0], lambda x: x.topk(2)[0], lambda x: x.cumsum(1), lambda x: x.roll(1),
        lambda x: x.gather(1, x.argmax(1, keepdim=True)), lambda x: x.masked_fill(x > 0, 0.0),
        lambda x: torch.where(x > 0, x, -x).logsumexp(1), lambda x: x.norm(dim=1), torch.triu,
        lambda x: functional.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False),
    ):  # fmt: skip
        assert counted(function, on("cpu", B, 4, 6, 6))[:2] == (0, 0)


def test_complex_products_are_four_of_reals(counted):
    """And a transform of N values counts 5 N log2 N, half of it from real numbers."""
    one, two = (torch.randn(4, 4, dtype=torch.complex64) for _ in range(2))
    assert counted(torch.mm, one, two)[0] == 4 * 2 * 64
    assert counted(torch.fft.fft, torch.randn(B, 8, dtype=torch.complex64))[0] == 5 * B * 8 * 3
    assert counted(torch.fft.rfft, torch.randn(B, 8))[0] == 2.5 * B * 8 * 3
    assert counted(torch.fft.irfft, torch.randn(B, 5, dtype=torch.complex64))[0] == 2.5 * B * 8 * 3


def test_kernels_of_gpus():
    """Their formulas on shapes: a GPU is not needed to know what the arguments say."""
    from splitopt.profiles.tracing.costs.work.formulas import flop_of

    def shaped(*shape):
        return torch.empty(shape, device="meta")

    aten = torch.ops.aten
    weights = [shaped(32, 6), shaped(32, 8), shaped(32), shaped(32)] * 2
    weights[4] = shaped(32, 8)
    run = (shaped(10, B, 6), weights, 4, None, shaped(2, B, 8), shaped(2, B, 8), 2, 8, 0, 2)
    options = (False, 0.0, True, False, [], None)
    forward, whole = lstm(10 * B, [(6, 8), (8, 8)])
    assert flop_of(aten._cudnn_rnn.default, (*run, *options), {}, None) == forward
    outs = (shaped(10, B, 8), shaped(10, B, 8), None, None)
    for mask, backward in (
        ((True, False, False, True), whole),
        ((False, False, False, True), whole - 2 * 10 * B * 32 * 6),
        ((True, True, True, True), whole + 2 * B * 2 * 32 * 8),
        ((True, False, False, False), whole - forward),
    ):
        given = (*run[:3], shaped(9), *run[4:6], *outs, *run[6:], *options, shaped(1), mask)
        assert flop_of(aten._cudnn_rnn_backward.default, given, {}, None) == backward
    q, k, v = shaped(B, 4, 5, 8), shaped(B, 2, 7, 8), shaped(B, 2, 7, 8)
    pairs = 2 * B * 4 * 5 * 7 * 8
    for name in ("flash", "efficient", "cudnn"):
        operator = getattr(aten, f"_scaled_dot_product_{name}_attention").default
        back = getattr(aten, f"_scaled_dot_product_{name}_attention_backward").default
        assert flop_of(operator, (q, k, v), {}, None) == 2 * pairs
        assert flop_of(back, (q, q, k, v), {}, None) == 5 * pairs
