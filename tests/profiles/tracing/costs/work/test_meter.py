"""What has no formula is listed, formulas can be declared, and wrong ones are found."""

from __future__ import annotations

import pytest

from splitopt.errors import InputError

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def library():
    """Operators of another library: a product with weights, its backward, and one in place."""
    found = torch.library.Library("workmeter", "DEF")
    found.define("scan(Tensor x, Tensor w) -> Tensor")
    found.define("scan_backward(Tensor grad, Tensor x, Tensor w) -> (Tensor, Tensor)")
    found.define("shift_(Tensor(a!) x) -> ()")
    found.define("gelu(Tensor x) -> Tensor", tags=(torch.Tag.pointwise,))
    found.define("composed(Tensor x, Tensor w) -> Tensor")
    found.impl("scan", lambda x, w: x.mm(w), "CPU")
    found.impl("scan_backward", lambda g, x, w: (g.mm(w.t()), x.t().mm(g)), "CPU")
    found.impl("shift_", _shift, "CompositeExplicitAutograd")
    found.impl("gelu", torch.nn.functional.gelu, "CPU")
    found.impl("composed", lambda x, w: torch.matmul(x, w), "CompositeImplicitAutograd")

    def setup(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    def backward(ctx, grad):
        return torch.ops.workmeter.scan_backward(grad, *ctx.saved_tensors)

    torch.library.register_autograd("workmeter::scan", backward, setup_context=setup, lib=found)
    yield torch.ops.workmeter
    found._destroy()


def _shift(x):
    x.add_(1)


class Scan(nn.Module):
    """Two layers around the foreign operator."""

    def __init__(self, width=8):
        super().__init__()
        self.one, self.two = nn.Linear(4, width), nn.Linear(width, 2)
        self.weight = nn.Parameter(torch.randn(width, width))

    def forward(self, x):
        x = torch.ops.workmeter.scan(self.one(x).relu(), self.weight)
        return self.two(x.relu())


def test_an_operator_of_another_library_is_named(library):
    """With its layer, its runs, the numbers per sample and the upper estimate.

    4 samples: 4 x 8 numbers and 64 weights go in, 4 x 8 come out; backward twice 4 x 8 and the
    weights go in, 4 x 8 and 64 come out.
    """
    from splitopt.profiles import trace

    profile = trace(Scan(), torch.randn(4, 4), keep_all=True).profile
    forward, backward = profile.uncounted
    assert (forward.operator, forward.phase, forward.runs) == ("workmeter::scan", "forward", 1)
    assert backward.operator == "workmeter::scan_backward"
    assert forward.layer == backward.layer == "scan"
    samples = 2  # what the tracer counts with
    given, made = samples * 8 + 64, samples * 8
    assert forward.elements == (given + made) / samples
    assert forward.at_most_flop == 2 * given * made / samples
    given, made = 2 * samples * 8 + 64, samples * 8 + 64
    assert backward.elements == (given + made) / samples
    assert backward.at_most_flop == 2 * given * made / samples
    assert profile.device_forward_flop[-1] == 2 * (4 * 8 + 8 * 2)


def test_cuts_around_unknown_work_do_not_beat_each_other(library):
    """The cut before the operator sends as much as the one behind it, and is kept."""
    from splitopt.profiles import trace

    profile = trace(Scan(), torch.randn(4, 4)).profile
    assert profile.layers == ("relu", "relu#2", "two")
    assert [item.layer for item in profile.uncounted] == ["relu#2", "relu#2"]


@pytest.mark.parametrize("by_name", [True, False])
def test_declared_work_is_counted(library, by_name):
    """2 x 8 x 8 per sample forward, twice that backward; shapes are those of a batch."""
    from splitopt.profiles import trace

    formulas = {
        "workmeter::scan" if by_name else library.scan: lambda x, w: 2 * x[0] * x[1] * w[1],
        "workmeter.scan_backward" if by_name else library.scan_backward.default: (
            lambda g, x, w, out_shape: 4 * g[0] * w[0] * out_shape[1][1]
        ),
    }
    profile = trace(Scan(), torch.randn(4, 4), flop_formulas=formulas).profile
    assert profile.uncounted == ()
    assert profile.device_forward_flop[-1] == 2 * (4 * 8 + 64 + 8 * 2)
    assert profile.device_backward_flop[-1] == 2 * 4 * 8 + 4 * (64 + 8 * 2)


def test_what_is_registered_with_torch_is_used_and_nothing_is_registered(library):
    """`register_flop_formula` of a user counts; the registry is as it was after a trace."""
    from torch.utils import flop_counter

    from splitopt.profiles import trace

    before = dict(flop_counter.flop_registry)
    trace(Scan(), torch.randn(4, 4), flop_formulas={"aten::mm": lambda *_: 0})
    assert flop_counter.flop_registry == before
    try:
        flop_counter.register_flop_formula(library.scan)(
            lambda x, w, out_shape=None, **_: 2 * x[0] * x[1] * w[1]
        )
        profile = trace(Scan(), torch.randn(4, 4)).profile
    finally:
        del flop_counter.flop_registry[library.scan]
    assert [item.operator for item in profile.uncounted] == ["workmeter::scan_backward"]
    assert profile.device_forward_flop[-1] == 2 * (4 * 8 + 64 + 8 * 2)


@pytest.mark.parametrize(
    ("formulas", "message"),
    [
        ({"workmeter::scam": len}, "workmeter::scam, which did not run.*workmeter::scan, "),
        ({"workmeter::scan": 3}, "is 3; give a function"),
        ({"scan": len}, "'scan' names no operator"),
        ({7: len}, "7 names no operator"),
        ({"workmeter::scan": lambda x: 0}, "workmeter::scan failed .TypeError"),
        ({"workmeter::scan": lambda x, w: None}, "returns NoneType"),
        ({"workmeter::scan": lambda x, w: -1}, "returns -1"),
        ({"workmeter::scan": lambda x, w: float("nan")}, "returns nan"),
        ({"workmeter::scan": lambda x, w: 0, "workmeter.scan": len}, "stands twice"),
    ],
)
def test_declarations_that_cannot_be_used_are_refused(library, formulas, message):
    """With what is wrong, and what the operators are called."""
    from splitopt.profiles import trace

    with pytest.raises(InputError, match=message):
        trace(Scan(), torch.randn(4, 4), flop_formulas=formulas)


def test_tags_of_other_libraries_are_not_believed(library):
    """An operator that calls itself element-wise is named all the same; its parts are seen."""
    from splitopt.profiles.tracing.costs.work.meter import WorkMeter

    with WorkMeter({}) as meter:
        library.gelu(torch.randn(4))
        library.shift_(torch.randn(3))
        library.composed(torch.randn(2, 3), torch.randn(3, 4))
    assert set(meter.unknown) == {"workmeter::gelu", "workmeter::shift_"}
    assert meter.unknown["workmeter::shift_"].at_most == 2 * 3 * 3  # what is written over
    assert meter.flop == 2 * 2 * 3 * 4


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("aten::linalg_inv_ex", lambda: torch.linalg.inv(torch.eye(3))),
        ("aten::_linalg_svd", lambda: torch.linalg.svd(torch.eye(3))),
        ("aten::linalg_qr", lambda: torch.linalg.qr(torch.eye(3))),
        ("aten::_linalg_solve_ex", lambda: torch.linalg.solve(torch.eye(3), torch.ones(3))),
        ("aten::linalg_matrix_exp", lambda: torch.matrix_exp(torch.eye(3))),
        ("aten::_ctc_loss", lambda: torch.ctc_loss(
            torch.zeros(5, 1, 3), torch.ones(1, 2, dtype=torch.long), (5,), (2,)
        )),
        ("aten::_sparse_addmm", lambda: torch.sparse.mm(torch.eye(3).to_sparse(), torch.eye(3))),
    ],
)  # fmt: skip
def test_operators_of_torch_without_a_formula(name, run):
    """Decompositions, solvers, sparse products: neither counted nor taken for nothing."""
    from splitopt.profiles.tracing.costs.work.meter import WorkMeter

    with WorkMeter({}) as meter:
        run()
    assert name in meter.unknown


def test_parts_are_seen_where_autograd_is_off():
    """In inference mode composed operators arrive whole and are taken apart."""
    from splitopt.profiles.tracing.costs.work.meter import WorkMeter

    layer, x = nn.LSTM(3, 4).double(), torch.randn(5, 2, 3, dtype=torch.float64)
    with torch.inference_mode(), WorkMeter({}) as meter:
        layer(x)
        torch.nn.functional.linear(torch.randn(2, 3), torch.randn(4, 3))
        torch.einsum("ij,jk->ik", torch.randn(2, 3), torch.randn(3, 4))
    assert not meter.unknown
    assert meter.flop == 2 * 10 * 16 * (3 + 4) + 2 * 2 * 24


def test_a_checkpoint_runs_its_layers_again():
    """Backward work holds the second forward pass, up to the last value that is to be saved."""
    from torch.utils.checkpoint import checkpoint

    from splitopt.profiles import trace

    class Saved(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8))

        def forward(self, x):
            return checkpoint(self.inner, x, use_reentrant=False)

    model = nn.Sequential(Saved(), nn.Linear(8, 2))
    profile = trace(model, torch.randn(2, 4)).profile
    assert profile.device_forward_flop[-1] == 2 * (32 + 64 + 16)
    assert profile.device_backward_flop[-1] == 2 * (32 + 32) + 4 * (64 + 16)


@pytest.mark.parametrize("reentrant", [True, False])
def test_an_outer_product_in_a_checkpoint_owes_its_gradient_once(reentrant):
    """4 x 3 entries, for the weight alone or for both operands; the product runs twice."""
    from torch.utils.checkpoint import checkpoint

    from splitopt.profiles import trace

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def product(self, x):
            return (x[:, :, None] * self.weight).relu().flatten(1)

        def forward(self, x):
            return checkpoint(self.product, x, use_reentrant=reentrant)

    model = nn.Sequential(nn.Linear(2, 4), Outer(), nn.Linear(12, 2))
    profile = trace(model, torch.randn(2, 2)).profile
    assert profile.device_forward_flop[-1] == 2 * (8 + 12 + 24)
    assert profile.device_backward_flop[-1] == 2 * 8 + (2 * 12 + 4 * 12) + 4 * 24


def test_work_that_contradicts_the_definition_of_a_module_is_refused(monkeypatch):
    """The count of PyTorch 2.13, which takes the weight gradient of a convolution groups times."""
    from splitopt.profiles import trace
    from splitopt.profiles.tracing.costs.work import formulas

    layer = nn.Conv2d(8, 8, 3, groups=8)
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(8 * 16, 2))
    x = torch.randn(2, 8, 6, 6)
    right = trace(model, x).profile
    assert right.device_backward_flop[-1] == 2 * 16 * 8 * 9 + 2 * 2 * 2 * 128
    without = {name: item for name, item in formulas._MACS.items() if "convolution" not in name}
    monkeypatch.setattr(formulas, "_MACS", without)  # PyTorch's own formulas take over
    with pytest.raises(InputError, match="runs the backward pass of this model by operators"):
        trace(model, x)


def test_an_operator_that_is_not_counted_contradicts_its_module(monkeypatch):
    """What a release of PyTorch runs instead of a known operator is found by the definition."""
    from splitopt.profiles import trace
    from splitopt.profiles.tracing.costs.work import formulas

    without = {name: item for name, item in formulas._MACS.items() if "mkldnn" not in name}
    monkeypatch.setattr(formulas, "_MACS", without)

    class Last(nn.Module):
        def forward(self, x):
            return x[0][:, -1]

    model = nn.Sequential(nn.LSTM(3, 4, batch_first=True), Last(), nn.Linear(4, 2))
    with pytest.raises(InputError, match="the LSTM '0' by operators whose work counts 0 FLOP"):
        trace(model, torch.randn(2, 5, 3))
