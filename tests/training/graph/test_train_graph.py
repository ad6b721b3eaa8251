"""`train_graph`: steps as those of the whole model, bytes as planned, and what is refused."""

from __future__ import annotations

import copy

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch import nn
from torch.nn import functional

from splitopt import CapabilityError, InfeasibleError, InputError, plan
from splitopt.errors import TrainingError
from splitopt.profiles import trace
from splitopt.training.graph import train_graph
from tests.accelerated import scenario
from tests.branching import CASES, made

pytestmark = pytest.mark.train


def sgd(parameters):
    """Return an optimizer with a memory."""
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


def planned(name, folder, **accelerators):
    """Return a plan of a model with the model, and micro-batches for two steps and a half."""
    module, draw = made(name)
    file = folder / f"{name}.json"
    trace(module, draw(2), boundaries="graph").profile.save(file)
    found = plan(scenario(file, **accelerators))
    batches = []
    for _ in range(7):
        inputs = draw(2)
        given = inputs if isinstance(inputs, tuple) else (inputs,)
        with torch.no_grad():
            batches.append((inputs, torch.randn_like(copy.deepcopy(module)(*given))))
    return found, module, batches


def whole(module, batches, micro_batches=3):
    """Train the model itself, with the same steps."""
    trained = copy.deepcopy(module).train()
    optimizer = sgd(trained.parameters())
    for first in range(0, len(batches), micro_batches):
        group = batches[first : first + micro_batches]
        optimizer.zero_grad()
        for inputs, targets in group:
            given = inputs if isinstance(inputs, tuple) else (inputs,)
            (functional.mse_loss(trained(*given), targets) / len(group)).backward()
        optimizer.step()
    return trained


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_steps_are_those_of_the_whole_model(name, tmp_path):
    """Weights and buffers after three steps, and the bytes of the plan."""
    found, module, batches = planned(name, tmp_path)
    before = copy.deepcopy(module.state_dict())
    run = train_graph(found, module, batches, loss=functional.mse_loss, optimizer=sgd)
    expected = whole(module, batches).state_dict()
    for key, value in run.model.state_dict().items():
        assert torch.allclose(value, expected[key], rtol=1e-10, atol=1e-12)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert len(run.losses) == 3
    assert run.samples == 14
    assert len(run.traffic) == len(found.prediction["machines"]) > 1
    for row in run.traffic:
        assert row.sent_bytes == pytest.approx(row.planned_sent_bytes, abs=1e-6)
        assert row.received_bytes == pytest.approx(row.planned_received_bytes, abs=1e-6)
    assert sum(row.sent_bytes for row in run.traffic) > 0


@pytest.mark.slow
def test_a_plan_from_its_file_with_a_cpu(tmp_path):
    """The CPU is one of the machines, and whatever it reads is counted as well."""
    found, module, batches = planned("towers", tmp_path, cpu={"compute": "10 MFLOPS"}, count=1)
    found.save(tmp_path / "plan.json")
    run = train_graph(
        tmp_path / "plan.json", module, iter(batches), loss=functional.mse_loss, optimizer=sgd
    )
    assert {row.name for row in run.traffic} == {"accelerator", "cpu"}


class Dropping(nn.Module):
    """A model that draws random numbers."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        """Drop half of what is between the layers."""
        return self.b(functional.dropout(torch.relu(self.a(x)), 0.5))


@pytest.mark.slow
def test_a_model_that_draws_is_trained_without_a_comparison(tmp_path):
    """What it draws differs from run to run, so that split and whole are not compared."""
    torch.manual_seed(0)
    module = Dropping()
    trace(module, torch.randn(2, 4), boundaries="graph").profile.save(tmp_path / "d.json")
    found = plan(scenario(tmp_path / "d.json"))
    pairs = [(torch.randn(2, 4), torch.randn(2, 2)) for _ in range(3)]
    run = train_graph(found, module, pairs, loss=functional.mse_loss, optimizer=sgd)
    assert len(run.losses) == 1


@pytest.fixture(scope="module")
def towers(tmp_path_factory):
    """Provide a plan of the towers with what is trained."""
    return planned("towers", tmp_path_factory.mktemp("towers"))


@pytest.mark.slow
def test_what_cannot_be_trained_with_is_refused(towers):
    """Model, batches, loss and optimizer: one sentence each."""
    found, module, batches = towers
    how = {"loss": functional.mse_loss, "optimizer": sgd}
    for given, message in (
        ({"batches": []}, "batches: are none"),
        ({"batches": [1]}, r"batches\[0\]: is 1; give a pair"),
        ({"batches": [*batches[:1], (batches[0][0],)]}, r"batches\[1\]: is .*give a pair"),
        ({"batches": [(3, batches[0][1])]}, r"batches\[0\]: example: must be a tensor"),
        ({"loss": lambda a, b: a}, "loss: returns .*a tensor of one number"),
        ({"loss": lambda a: a}, "loss: fails on what the model returns for micro-batch 0"),
        ({"optimizer": lambda p: p}, "optimizer: returns .*an optimizer of torch.optim"),
        ({"optimizer": lambda p: 1 / 0}, "optimizer: fails on a list of parameters"),
        ({"plan": plan("digits-splitfed")}, "is a plan of cut_and_resources; splitopt.train takes"),
    ):
        arguments = {"plan": found, "model": module, "batches": batches, **how, **given}
        with pytest.raises(InputError, match=message):
            train_graph(arguments.pop("plan"), arguments.pop("model"), **arguments)
    with pytest.raises(TrainingError, match="step 1: the loss of micro-batch 0 is nan"):
        train_graph(found, module, batches, loss=lambda a, b: a.sum() * float("nan"), optimizer=sgd)


@pytest.mark.slow
def test_another_model_is_refused(towers):
    """Other layers, other sizes of outputs, other parameters."""
    found, _, batches = towers
    how = {"loss": functional.mse_loss, "optimizer": sgd}
    other, draw = made("unet")
    with pytest.raises(InputError, match=r"model: is not the one that was planned.*layer 0 is"):
        train_graph(found, other, [(draw(2), draw(2))], **how)
    single, _ = made("towers")
    pairs = [((i.float(), t), y.float()) for (i, t), y in batches]
    with pytest.raises(InputError, match=r"model: is not the one.*bytes of its outputs differ"):
        train_graph(found, single.float(), pairs, **how)
    wide, _ = made("towers")
    wide.embed = nn.Embedding(11, 4).double()
    with pytest.raises(InputError, match=r"model: is not the one.*parameters have other sizes"):
        train_graph(found, wide, batches, **how)


@pytest.mark.slow
def test_a_plan_without_a_decision_or_a_trace(towers, tmp_path):
    """Nothing to train, and nothing to compare a model with."""
    _, module, batches = towers
    how = {"loss": functional.mse_loss, "optimizer": sgd}
    small, *_ = planned("towers", tmp_path, memory="10 B")
    assert not small.is_feasible
    with pytest.raises(InfeasibleError, match="there is nothing to train: layer"):
        train_graph(small, module, batches, **how)
    document = scenario("none.json", machine="gpu")
    del document["accelerators"]["compute"]
    document["model"] = {"profile": "pipedream-alexnet"}
    with pytest.raises(InputError, match="was not traced from a module"):
        train_graph(plan(document), module, batches, **how)


class Several(nn.Module):
    """A model with three results: one is read by a later layer, and two end branches."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 3), nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x):
        """Return what is between the layers as well."""
        y = torch.relu(self.a(x))
        return self.b(y), [y, self.c(y) * torch.sigmoid(y[:, :2])]


def of_several(result, target):
    """Compute a loss of all results."""
    first, (middle, last) = result
    return functional.mse_loss(first, target) + (2 * middle).square().mean() + last.abs().mean()


def test_a_model_of_several_results(tmp_path):
    """The steps of the whole model, with results on several machines."""
    torch.manual_seed(1)
    module = Several().double()
    batch = torch.randn(2, 3, dtype=torch.float64)
    profile = trace(module, batch, boundaries="graph").profile
    profile.save(tmp_path / "s.json")
    found = plan(scenario(tmp_path / "s.json", rate="100 Gbit/s"))
    assert len(found.prediction["machines"]) > 1
    batches = [(torch.randn(2, 3).double(), torch.randn(2, 2).double()) for _ in range(6)]
    run = train_graph(found, module, batches, loss=of_several, optimizer=sgd)
    trained = copy.deepcopy(module)
    optimizer = sgd(trained.parameters())
    for first in (0, 3):
        optimizer.zero_grad()
        for x, y in batches[first : first + 3]:
            (of_several(trained(x), y) / 3).backward()
        optimizer.step()
    for one, two in zip(run.model.parameters(), trained.parameters(), strict=True):
        assert torch.allclose(one, two, rtol=1e-10, atol=1e-12)


def test_a_result_that_is_not_computed_is_refused(tmp_path):
    """An input that is handed on has no machine."""

    class Handing(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.b(torch.relu(self.a(x))), x

    module = Handing()
    trace(module, torch.randn(2, 3), boundaries="graph").profile.save(tmp_path / "two.json")
    found = plan(scenario(tmp_path / "two.json"))
    with pytest.raises(CapabilityError, match="returns what it does not compute"):
        train_graph(
            found,
            module,
            [(torch.randn(2, 3), torch.randn(2, 2))],
            loss=lambda result, target: functional.mse_loss(result[0], target),
            optimizer=sgd,
        )
