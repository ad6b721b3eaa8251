"""Training where the model is not on the CPU.

On ``meta``, tensors have shapes and no values, and an operation on tensors of two devices fails:
that shows without a GPU that nothing of a scheme stays behind on the CPU. On ``cuda`` values are
compared.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt.models import build as build_model  # noqa: E402
from splitopt.models import is_token_model  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402
from splitopt.training.schemes.base import Scheme  # noqa: E402
from splitopt.training.schemes.clustered import Clustered  # noqa: E402

pytestmark = pytest.mark.train

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

CUTS = {
    "federated": (),
    "splitfed_v1": (3,),
    "splitfed_v2": (3,),
    "vanilla": (3,),
    "clustered": (3,),
    "multihop": (2, 7),
    "split_nn": (2, 7),
}


def build(make, name, device, options, seed=0, dtype=torch.float64, **keywords):
    """Make a scheme of three clients with all its tensors on a device."""
    clients = make.clients([10, 10, 7], CUTS[name], dtype=dtype)
    for index, client in enumerate(clients):
        client.batches.inputs = client.batches.inputs.to(device)
        client.batches.targets = client.batches.targets.to(device)
        client.stream = Stream(seed + index, device)
    model = make.cnn(dtype=dtype, **keywords).to(device)
    if name == "split_nn":  # has no copies to keep apart or average
        options = replace(options, optimizer_state="keep", batch_norm="average")
    scheme = SCHEMES[name](model, clients, options, make.split)
    if name == "clustered":
        scheme.cluster([[0, 2], [1]])
    return scheme


def places(state):
    """Names of the tensors of a state on each kind of device."""
    found = {}
    for name, value in state.items():
        found.setdefault(value.device.type, set()).add(name)
    return found


@pytest.fixture
def no_values(monkeypatch):
    """Skip the recording of losses, which have no values on ``meta``."""
    monkeypatch.setattr(Scheme, "note_loss", lambda *_: None)
    monkeypatch.setattr(Clustered, "_note", lambda *_: None)


OPTIONS = [
    Options(momentum=0.9, optimizer_state="average"),
    Options(optimizer="adam", learning_rate=0.01, optimizer_state="keep", batch_norm="local"),
]


@pytest.mark.usefixtures("no_values")
@pytest.mark.parametrize("options", OPTIONS, ids=["momentum", "adam"])
@pytest.mark.parametrize("name", CUTS)
@pytest.mark.one_quick
def test_all_that_is_trained_stays_on_its_device(make, name, options):
    """Also after a state has been saved and loaded."""
    scheme = build(make, name, "meta", options, dropout=0.5, batch_norm=True)
    scheme.round(0)
    scheme.load_state_dict(scheme.state_dict())
    scheme.round(1)
    on_cpu = places(scheme.state_dict())["cpu"]
    assert all(n.endswith(":step") or n.startswith("client.") for n in on_cpu), on_cpu


@pytest.mark.slow
@pytest.mark.usefixtures("no_values")
def test_stacked_clients_stay_on_their_device(make, monkeypatch):
    """The two that are alike, and the one that trains alone beside them."""
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: self)  # as losses are read in one go
    for optimizer in ("sgd", "adam"):
        options = Options(optimizer=optimizer, optimizer_state="keep", batched=True)
        scheme = build(make, "splitfed_v1", "meta", options, batch_norm=True)
        for number in range(2):
            scheme.round(number)
        assert set(scheme._stacks) == {("d0", "d1")}
        on_cpu = places(scheme.state_dict())["cpu"]
        assert all(n.endswith(":step") or n.startswith("client.") for n in on_cpu), on_cpu


@pytest.mark.usefixtures("no_values")
@pytest.mark.parametrize("name", ["cnn", "resnet18", "gpt"])
@pytest.mark.one_quick
def test_parts_of_a_shipped_network_stay_on_its_device(name):
    """Those of a traced graph too, in which constants could have stayed behind."""
    from splitopt.profiles.tracing import find_cuts
    from splitopt.training.data.batches import Batches
    from splitopt.training.schemes import Client

    shape = (8,) if is_token_model(name) else (1, 16, 16)
    model = build_model(name, shape, 10)
    inputs = torch.zeros(2, *shape, dtype=torch.int64 if is_token_model(name) else None)
    split = find_cuts(model, inputs)
    cut = len(split.cuts) // 2
    with torch.no_grad():
        targets = model(inputs).argmax(dim=-1)
    clients = [
        Client(
            f"d{k}", Batches(inputs.to("meta"), targets.to("meta"), 2, k), Stream(k), (1, cut + 1)
        )
        for k in range(2)
    ]

    def criterion(found, wanted):
        return torch.nn.functional.cross_entropy(found.flatten(0, -2), wanted.flatten())

    options = Options(momentum=0.9)
    model = model.to("meta")
    scheme = SCHEMES["multihop"](model, clients, options, split.split, criterion)
    scheme.round(0)
    assert all(n.startswith("client.") for n in places(scheme.state_dict())["cpu"])


@pytest.mark.usefixtures("no_values")
def test_a_single_number_keeps_its_moments_on_its_device(make):
    """Only an optimizer's count of steps is kept on the CPU."""
    scheme = build(make, "federated", "meta", Options(momentum=0.9, optimizer_state="keep"))
    own = scheme.copies()[0]
    own.model.register_parameter("scale", torch.nn.Parameter(torch.ones((), device="meta")))
    own.parts[0].reset_optimizer()
    own.load_moments({"scale:momentum_buffer": torch.ones(()), "0.bias:step": torch.ones(())})
    moments = own.moments()
    assert moments["scale:momentum_buffer"].device.type == "meta"
    assert moments["0.bias:step"].device.type == "cpu"


@needs_cuda
@pytest.mark.parametrize("options", OPTIONS, ids=["momentum", "adam"])
@pytest.mark.parametrize("name", CUTS)
def test_a_gpu_learns_what_the_cpu_learns(make, name, options):
    """In float64, up to the order of sums."""
    states = []
    for device in ("cpu", "cuda"):
        scheme = build(make, name, device, options, batch_norm=True)
        for number in range(3):
            scheme.round(number)
        states.append(scheme.model.state_dict())
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key].cpu(), value, rtol=0, atol=1e-10)


@needs_cuda
def test_a_client_draws_from_its_own_stream_on_a_gpu(make):
    """Dropout does not depend on the order of clients, nor on what others draw."""
    states = []
    for order in ("given", "shuffled"):
        options = Options(order=order)
        scheme = build(make, "multihop", "cuda", options, dropout=0.5)
        for number in range(3):
            scheme.round(number)
            torch.rand(7, device="cuda")
        states.append(scheme.model.state_dict())
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=0, atol=1e-10)


@needs_cuda
def test_a_state_goes_on_from_a_gpu(make):
    """Saved and loaded between rounds with dropout, and loaded where there is no GPU."""
    options = Options(optimizer="adam", optimizer_state="keep")
    first, second = (build(make, "splitfed_v1", "cuda", options, dropout=0.5) for _ in range(2))
    first.round(0)
    saved = {name: value.cpu() for name, value in first.state_dict().items()}
    second.load_state_dict(saved)
    first.round(1)
    second.round(1)
    for key, value in first.model.state_dict().items():
        torch.testing.assert_close(second.model.state_dict()[key], value, rtol=0, atol=1e-10)
    elsewhere = build(make, "splitfed_v1", "cpu", options, dropout=0.5)
    elsewhere.load_state_dict(saved)
    elsewhere.round(1)


@needs_cuda
def test_side_by_side_on_a_gpu_is_one_by_one(make):
    """The batched path against the loop, both there."""
    states = []
    for batched in (False, True):
        options = Options(momentum=0.9, optimizer_state="keep", batched=batched)
        scheme = build(make, "splitfed_v1", "cuda", options)
        for number in range(3):
            scheme.round(number)
        states.append(scheme.state_dict())
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=0, atol=1e-10)


def test_a_model_without_values_is_refused(plan_of):
    """There would be nothing to train."""
    model = build_model("cnn", (1, 8, 8), device="meta")
    with pytest.raises(splitopt.InputError, match="model: has tensors without values"):
        splitopt.train(plan_of("digits-splitfed"), model, rounds=1)


@needs_cuda
def test_a_plan_is_trained_on_a_gpu(plan_of):
    """Whatever the model was on; the one that was given stays there, and as it was."""
    plan, runs = plan_of("digits-splitfed"), []
    for given, device in (("cpu", "cpu"), ("cuda", "cuda"), ("cuda", "cpu"), ("cpu", "auto")):
        torch.manual_seed(0)
        model = build_model("cnn", (1, 8, 8)).to(given)
        before = model.fc1.linear.weight.clone()
        runs.append(splitopt.train(plan, model, rounds=2, device=device))
        assert next(model.parameters()).device.type == given
        assert torch.equal(model.fc1.linear.weight, before)
        wanted = "cuda" if device == "auto" else device
        assert next(runs[-1].model.parameters()).device.type == wanted
    for run in runs[1:]:
        for row, first in zip(run.history.rows, runs[0].history.rows, strict=True):
            assert row.loss == pytest.approx(first.loss, rel=1e-3)
            assert row.traffic_bytes == first.traffic_bytes
