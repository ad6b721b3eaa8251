"""The scheme of replicated stages: rounds as steps of the whole model, the plan's clock."""

from __future__ import annotations

import copy

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch import nn

import splitopt
from splitopt import InputError, plan, simulate
from splitopt.export import export_plan
from splitopt.profiles import trace
from splitopt.training.data import DataSet
from splitopt.training.data.batches import Batches
from splitopt.training.options import Options
from splitopt.training.program import program_of
from splitopt.training.schemes import ReplicatedStages
from tests.replicated import scenario

pytestmark = pytest.mark.train

FAST = {"name": "fast", "count": 3, "compute": "1 MFLOPS", "rate": "1 Gbps"}
SLOW = {"name": "slow", "count": 2, "compute": "500 kFLOPS", "rate": "1 Gbps"}


def network(norm=False):
    """Return a chain of layers in float64, with a normalisation or without."""
    middle = [nn.BatchNorm1d(8)] if norm else []
    layers = [nn.Linear(6, 8), *middle, nn.Tanh(), nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 3)]
    torch.manual_seed(0)
    return nn.Sequential(*layers).double()


def planned(module, folder, *types, **given):
    """Return a plan with a replicated stage."""
    profile = trace(module, torch.randn(2, 6, dtype=torch.float64)).profile
    profile.save(folder / "p.json")
    asked = {"batch_size": 4, "micro_batches": 5, "use_all_machines": True, **given}
    return plan(scenario(folder / "p.json", *(types or (FAST, SLOW)), **asked))


def data(samples=40):
    """Return samples of three classes."""
    torch.manual_seed(1)
    x = torch.randn(samples, 6)
    y = (3 * torch.sigmoid(x[:, 0])).long()
    return DataSet("made", x, y, x[:8], y[:8], classes=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Provide a plan and its model."""
    module = network()
    found = planned(module, tmp_path_factory.mktemp("replicas"), max_replicas=3)
    sizes = [sum(len(r["machines"]) for r in s["replicas"]) for s in found.prediction["stages"]]
    assert max(sizes) > 1
    assert len(sizes) > 1
    return found, module


def whole(run, module, rounds, size, steps, together):
    """Train the whole model on the batches of a run, at once or one by one, and return it."""
    drawn = run.scheme.clients[0].batches
    anew = Batches(drawn.inputs, drawn.targets, size, drawn.generator.initial_seed())
    found = copy.deepcopy(module).train()
    optimizer = torch.optim.SGD(found.parameters(), lr=0.1, momentum=0.9)
    for _ in range(rounds):
        batches = list(anew.take(steps))
        if together:
            x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
            batches = [(x, y)]
        count = sum(len(x) for x, _ in batches)
        optimizer.zero_grad()
        for x, y in batches:
            (nn.functional.cross_entropy(found(x), y) * (len(x) / count)).backward()
        optimizer.step()
    return found


def trained(found, module, rounds=3, **given):
    """Train a plan."""
    options = Options(learning_rate=0.1, momentum=0.9)
    return splitopt.train(
        found, module, given.pop("data", data()), options=options, rounds=rounds, **given
    )


@pytest.mark.one_quick
@pytest.mark.parametrize("samples", [26, 40])
def test_rounds_are_steps_of_the_whole_model_on_the_total_batch(made, samples):
    """26 samples make micro-batches of 4 and of 2, which count by their samples."""
    found, module = made
    run = trained(found, module, 4, data=data(samples))
    expected = whole(run, module, 4, 4, 5, together=True).state_dict()
    for key, value in run.model.state_dict().items():
        assert value.dtype == torch.float64
        assert torch.allclose(value, expected[key], rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_all_machines_take_part_and_end_alike(made):
    """Without the gradients of the other machines the weights would differ."""
    found, module = made
    run = trained(found, module, 1)
    scheme = run.scheme
    sizes = [sum(len(r["machines"]) for r in s["replicas"]) for s in found.prediction["stages"]]
    assert [len(own) for own in scheme.shares] == sizes
    assert len(scheme.replicas) == max(sizes)
    batches = list(scheme.clients[0].batches.take(5))
    scheme._all_reduce = lambda tally: None  # each stage keeps what its first machine learnt
    scheme.clients[0].batches.take = lambda count: iter(batches)
    before = {key: value.clone() for key, value in scheme.model.state_dict().items()}
    scheme.round(1)
    after = scheme.model.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in after)


def test_time_and_bytes_are_the_plans(made):
    """The clock is the replay's, and full micro-batches send what the plan says."""
    found, module = made
    run = trained(found, module, 2)
    assert run.history.clock_s == pytest.approx(2 * simulate(found).timeline.makespan_s)
    sent = run.history.rows[0].traffic_bytes
    stages = found.prediction["stages"]
    assert sent["smashed"] == pytest.approx(5 * sum(s["output_bytes"] for s in stages[:-1]))
    # around a ring R machines send R - 1 times the weights, forth and back
    sizes = [
        sum(8 * parameter.numel() for parameter in part.module.parameters())
        for part in run.scheme.common.parts
    ]
    assert sum(sizes) == sum(8 * parameter.numel() for parameter in module.parameters())
    machines = [sum(len(row["machines"]) for row in stage["replicas"]) for stage in stages]
    expected = sum((count - 1) * size for count, size in zip(machines, sizes, strict=True))
    assert sent["model_up"] == sent["model_down"] == expected
    assert sent["label"] == 0


@pytest.mark.slow
def test_statistics_are_the_mean_of_the_machines(tmp_path):
    """Weights are those of the whole model; statistics are each machine's own, averaged."""
    module = network(norm=True)
    one = {**FAST, "count": 2}
    found = planned(module, tmp_path, one, micro_batches=4)
    assert len(found.prediction["stages"]) == 1
    run = trained(found, module, 1, data=data(16))
    expected = whole(run, module, 1, 4, 4, together=False).state_dict()
    state = run.model.state_dict()
    for key in dict(module.named_parameters()):
        assert torch.allclose(state[key], expected[key], rtol=1e-10, atol=1e-12)
    drawn = run.scheme.clients[0].batches
    batches = list(Batches(drawn.inputs, drawn.targets, 4, drawn.generator.initial_seed()).take(4))
    means = []
    for machine in (0, 1):
        norm = copy.deepcopy(module[:2]).train()
        for x, _ in batches[machine::2]:
            norm(x)
        means.append(norm[1].running_mean)
    assert torch.allclose(state["1.running_mean"], sum(means) / 2, rtol=1e-12)
    assert not torch.allclose(state["1.running_mean"], expected["1.running_mean"])


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    """Momentum and statistics go along: the weights are those of a run without a break."""
    module = network(norm=True)
    found = planned(module, tmp_path)
    trained(found, module, 2, checkpoint=tmp_path / "kept")
    resumed = trained(found, module, 4, checkpoint=tmp_path / "kept", resume=True)
    straight = trained(found, module, 4)
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, straight.model.state_dict()[key])


@pytest.mark.slow
def test_the_whole_model_is_trained_beside_it(made):
    """Centralized has as many mini-batches in a round, and no time."""
    run = trained(*made, 1, scheme="centralized")
    assert run.history.rows[0].samples == 20
    assert run.history.rows[0].round_s is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_norm", "local"),
        ("optimizer_state", "average"),
        ("codec", "fp16"),
        ("nopeek", 0.5),
    ],
)
def test_options_of_clients_are_refused(made, name, value):
    """There is one model, and what crosses has the planned bytes."""
    found, module = made
    with pytest.raises(InputError, match=f"{name}: (is|protects)"):
        splitopt.train(found, module, data(), options=Options(**{name: value}), rounds=1)


def test_what_is_for_parties_refuses_the_plan(made, tmp_path):
    """Another scheme, validation and exports, each by name."""
    found, module = made
    with pytest.raises(InputError, match="choose one of replicas, centralized"):
        trained(found, module, 1, scheme="federated")
    for call in (
        lambda: splitopt.validate(found, module, data()),
        lambda: export_plan(found, tmp_path / "a", to="onnx", model=module),
        lambda: export_plan(found, tmp_path / "b", to="torch-pipelining", model=module),
    ):
        with pytest.raises(InputError, match="is a plan of replicated_pipeline, whose machines"):
            call()


@pytest.mark.slow
def test_what_has_no_such_step_is_refused(made, tmp_path):
    """Weights that are updated all the time, rounds that are not replayed, and other plans."""
    _, module = made
    with pytest.raises(InputError, match="schedule pipedream, which updates weights all the time"):
        program_of(planned(module, tmp_path, schedule="pipedream"))
    with pytest.raises(InputError, match="too long to be replayed"):
        program_of(planned(module, tmp_path, micro_batches=1_000_000))
    plan("digits-splitfed").save(tmp_path / "plan.json")
    with pytest.raises(InputError, match="scheme: 'replicas' cannot train this plan"):
        splitopt.train(tmp_path / "plan.json", rounds=1, scheme=ReplicatedStages)
