"""Buffers that forward writes are trained split as whole, in every scheme.

The other side of each comparison is a plain PyTorch loop over the whole model, written here.
"""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.profiles import trace  # noqa: E402
from splitopt.profiles.tracing import find_cuts  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.model_parts.copies import Split  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402

pytestmark = pytest.mark.train

NETS = Path(__file__).parents[1] / "profiles" / "tracing" / "running" / "stateful.py"
KINDS = ("Mean", "Replaced", "Observer", "Codebook", "Last", "Spectral")
ROUNDS = 3


@pytest.fixture(scope="module")
def nets():
    """Return the networks, which import torch."""
    spec = importlib.util.spec_from_file_location("stateful", NETS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(nets, kind):
    torch.manual_seed(0)
    model = getattr(nets, kind)()
    return model, find_cuts(model, torch.randn(2, 1, 8, 8))


def walk(model, client, steps):
    """Train a whole model on a client's next batches by plain SGD."""
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05)
    for _ in range(steps):
        x, y = client.batches.draw()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def run(name, model, split, clients, options=None):
    scheme = SCHEMES[name](
        model, clients, options or Options(), Split(split.split, split.state.written)
    )
    for number in range(ROUNDS):
        scheme.round(number)
    return scheme


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("splitfed_v1", (3,)),
        ("splitfed_v2", (3,)),
        ("vanilla", (2,)),
        ("multihop", (2, 3, 4)),
        ("u_shaped", (2, -1)),
        ("split_nn", (2, -1)),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_one_client_is_the_whole_model_trained(nets, make, kind, name, ends):
    """Weights and buffers bit for bit, wherever the chain is cut."""
    model, split = build(nets, kind)
    cuts = tuple(end if end > 0 else len(split.cuts) for end in ends)
    torch.manual_seed(5)
    wanted = copy.deepcopy(model)
    torch.manual_seed(5)
    run(name, model, split, make.clients([10], cuts=cuts))
    client = make.clients([10], cuts=cuts)[0]
    walk(wanted, client, ROUNDS * client.batches.per_epoch)
    for key, value in wanted.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key


def averaged(states, weights):
    """Average by hand; whole numbers are those of the largest share."""
    largest = max(range(len(weights)), key=weights.__getitem__)
    found = {}
    for key, first in states[0].items():
        if first.is_floating_point():
            mean = sum(
                w * np.asarray(s[key], dtype=np.float64)
                for w, s in zip(weights, states, strict=True)
            ) / sum(weights)
            found[key] = torch.tensor(mean, dtype=first.dtype)
        else:
            found[key] = states[largest][key]
    return found


@pytest.mark.one_quick
@pytest.mark.parametrize("kind", ["Mean", "Replaced", "Observer", "Codebook"])
def test_copies_are_averaged_with_their_buffers(nets, make, kind):
    """SplitFedV1 of two clients with cuts of their own is FedAvg by hand."""
    model, split = build(nets, kind)
    wanted = copy.deepcopy(model)
    run("splitfed_v1", model, split, make.clients([8, 12], cuts=((2,), (4,))))
    clients = make.clients([8, 12])
    for _ in range(ROUNDS):
        copies = [copy.deepcopy(wanted) for _ in clients]
        for own, client in zip(copies, clients, strict=True):
            walk(own, client, client.batches.per_epoch)
        wanted.load_state_dict(averaged([own.state_dict() for own in copies], [8, 12]))
    for key, value in wanted.state_dict().items():
        assert torch.allclose(model.state_dict()[key], value, rtol=1e-5, atol=1e-6), key


def test_local_statistics_stay_with_their_client(nets, make):
    """With ``local`` every copy goes on with a mean of its own."""
    model, split = build(nets, "Mean")
    options = Options(batch_norm="local")
    scheme = run("splitfed_v1", model, split, make.clients([8, 12], cuts=(3,)), options)
    clients, wanted = make.clients([8, 12]), [copy.deepcopy(build(nets, "Mean")[0])] * 2
    common, means = wanted[0].state_dict(), [torch.zeros(12)] * 2
    for _ in range(ROUNDS):
        copies = []
        for k, client in enumerate(clients):
            own = copy.deepcopy(wanted[0])
            own.load_state_dict({**common, "mean": means[k]})
            walk(own, client, client.batches.per_epoch)
            means[k] = own.mean.clone()
            copies.append(own.state_dict())
        common = averaged(copies, [8, 12])
    for own, mean in zip(scheme.copies(), means, strict=True):
        assert torch.allclose(own.model.mean, mean, rtol=1e-5)
    assert not torch.allclose(means[0], means[1])


@pytest.mark.one_quick
@pytest.mark.parametrize("kind", ["Mean", "Observer", "Last"])
def test_side_by_side_is_one_by_one(nets, make, kind):
    """Copies that are called at once write buffers of their own."""
    found = []
    for batched in (False, True):
        model, split = build(nets, kind)
        clients = make.clients([8, 8], cuts=(3,))
        run("splitfed_v1", model, split, clients, Options(batched=batched))
        found.append(model.state_dict())
    for key, value in found[0].items():
        assert torch.allclose(found[1][key], value, rtol=1e-5, atol=1e-6), key


def plan_for(tmp_path, model, **fields):
    """Plan a split of the model on two devices with few digits each."""
    profile = trace(model, torch.randn(2, 1, 8, 8), name="net", keep_all=True).profile
    profile.save(tmp_path / "net.json")
    document = Scenario.load("digits-splitfed").to_dict()
    document |= {"model": {"file": str(tmp_path / "net.json")}, **fields}
    device = {"compute": "2 kFLOP/s", "samples": 40, "batch_size": 20}
    document["devices"] = [{"name": "a", **device}, {"name": "b", **device}]
    return splitopt.plan(Scenario.from_dict(document))


@pytest.fixture
def wide(nets):
    """Return the class of a network by name, with an output for each digit."""

    def make(kind):
        torch.manual_seed(0)
        model = getattr(nets, kind)()
        model.c = nn.Linear(8, 10)
        return model

    return make


@pytest.mark.slow
def test_what_cannot_be_done_with_written_buffers_is_refused(tmp_path, wide):
    """Freezing them, and replacing them for several copies at once."""
    plan = plan_for(tmp_path, wide("Mean"))
    with pytest.raises(InputError, match="batch_norm: is 'frozen', but forward also writes mean"):
        prepare(TrainingJob(plan, wide("Mean"), options=Options(batch_norm="frozen")))
    plan = plan_for(tmp_path, wide("Replaced"))
    with pytest.raises(InputError, match="batched: the model makes mean another tensor"):
        prepare(TrainingJob(plan, wide("Replaced"), options=Options(batched=True)))


@pytest.mark.slow
def test_testing_leaves_the_buffers(tmp_path, wide):
    """An observer that also writes in evaluation is not changed by the tests after a round."""
    model = wide("Observer")
    plan = plan_for(tmp_path, model)
    few = splitopt.train(plan, model, rounds=2, evaluate_every=2)
    often = splitopt.train(plan, model, rounds=2, evaluate_every=1)
    assert int(few.model.passes) == 2 * 2  # two batches in each of two rounds
    for key, value in few.model.state_dict().items():
        assert torch.equal(often.model.state_dict()[key], value), key
    assert int(model.passes) == 0


NET = """
import importlib.util

import torch
from torch import nn

spec = importlib.util.spec_from_file_location("stateful", {path!r})
stateful = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stateful)


def net():
    model = stateful.{kind}()
    model.c = nn.Linear(8, 10)
    return model
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Mean", "Replaced", "Codebook"])
def test_processes_of_their_own_write_the_same(tmp_path, wide, kind):
    """On the wire the state after two rounds is that of one process."""
    from splitopt.training.wire.launch import run_wire

    code = tmp_path / "net.py"
    code.write_text(NET.format(path=str(NETS), kind=kind))
    plan = plan_for(tmp_path, wide(kind))
    target = f"{code}:net"
    wanted = splitopt.train(plan, target, rounds=2).model.state_dict()
    found = run_wire(plan, target, rounds=2, any_speed=True).model.state_dict()
    assert set(found) == set(wanted)
    for key, value in wanted.items():
        assert torch.allclose(found[key], value, rtol=1e-5, atol=1e-7), key
