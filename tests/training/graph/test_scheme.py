"""The scheme of plans of graphs: rounds as steps of the whole model, the plan's clock, resuming."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch
from torch import nn

import splitopt
from splitopt import InputError, plan, simulate
from splitopt.profiles import trace
from splitopt.training.data.batches import Batches
from splitopt.training.options import Options
from splitopt.training.schemes import GraphParts
from tests.accelerated import scenario

pytestmark = pytest.mark.train


class Joined(nn.Module):
    """Two branches with a normalisation that join."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 8), nn.Linear(6, 8)
        self.norm, self.out = nn.BatchNorm1d(8), nn.Linear(16, 3)

    def forward(self, x):
        """Classify."""
        left = torch.relu(self.one(x))
        return self.out(torch.cat([self.norm(left), torch.tanh(self.two(x))], 1))


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """Provide the file of a profile, and its model."""
    torch.manual_seed(0)
    module = Joined().double()
    file = tmp_path_factory.mktemp("graph") / "p.json"
    trace(module, torch.randn(2, 6, dtype=torch.float64), boundaries="graph").profile.save(file)
    return file, module


@pytest.fixture(scope="module")
def made(profile):
    """Provide a plan on several machines, its model, and data of three classes."""
    file, module = profile
    found = plan(scenario(file, rate="10 Gbit/s", batch_size=4, micro_batches=3))
    assert len(found.prediction["machines"]) > 1
    x = torch.randn(30, 6)  # made float64, as the model is
    return found, module, (x, (3 * torch.sigmoid(x[:, 0])).long())


def trained(made, rounds, **given):
    """Train the plan."""
    found, module, (x, y) = made
    data = {"train": (x[:26], y[:26]), "test": (x[26:], y[26:])}
    options = Options(learning_rate=0.1, momentum=0.9)
    return splitopt.train(
        found, module, given.pop("data", as_data(data)), options=options, rounds=rounds, **given
    )


def as_data(data):
    """Return a data set."""
    from splitopt.training.data import DataSet

    return DataSet("made", *data["train"], *data["test"], classes=3)


@pytest.mark.slow
def test_rounds_are_steps_of_the_whole_model(made):
    """Weights, statistics and losses of five rounds; 26 samples make batches of 4 and of 2."""
    module = made[1]
    run = trained(made, 5)
    drawn = run.scheme.clients[0].batches
    seed = drawn.generator.initial_seed()
    batches_anew = Batches(drawn.inputs, drawn.targets, 4, seed)
    whole = copy.deepcopy(module).train()
    optimizer = torch.optim.SGD(whole.parameters(), lr=0.1, momentum=0.9)
    losses, sizes = [], set()
    for _ in range(5):
        batches = list(batches_anew.take(3))
        count = sum(len(x) for x, _ in batches)
        optimizer.zero_grad()
        total = 0.0
        for x, y in batches:
            sizes.add(len(x))
            loss = nn.functional.cross_entropy(whole(x), y) * (len(x) / count)
            loss.backward()
            total += float(loss.detach())
        optimizer.step()
        losses.append(total)
    assert sizes == {2, 4}
    for key, value in run.model.state_dict().items():
        assert torch.allclose(value, whole.state_dict()[key], rtol=1e-10, atol=1e-12)
    assert [row.loss for row in run.history.rows] == pytest.approx(losses, rel=1e-12)
    assert run.history.rows[-1].accuracy is not None


def test_time_and_bytes_are_the_plans(made):
    """The clock is the replay's, and full batches send what the plan says."""
    found, *_ = made
    run = trained(made, 2)
    assert run.history.clock_s == pytest.approx(2 * simulate(found).timeline.makespan_s)
    rows = found.prediction["machines"]
    planned = 3 * sum(row["sent_bytes"] + row["received_bytes"] for row in rows)
    first = run.history.rows[0]
    assert first.traffic_bytes["smashed"] + first.traffic_bytes["gradient"] == pytest.approx(
        planned
    )
    assert first.traffic_bytes["model_up"] == first.traffic_bytes["label"] == 0


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint(made, tmp_path):
    """Momentum of every machine goes along: the weights are those of a run without a break."""
    trained(made, 2, checkpoint=tmp_path / "kept")
    resumed = trained(made, 4, checkpoint=tmp_path / "kept", resume=True)
    straight = trained(made, 4)
    assert len(resumed.history) == 4
    for key, value in resumed.model.state_dict().items():
        assert torch.equal(value, straight.model.state_dict()[key])


@pytest.mark.slow
def test_the_whole_model_is_trained_beside_it(made):
    """Centralized has as many mini-batches in a round, and no time."""
    run = trained(made, 1, scheme="centralized")
    assert run.history.rows[0].samples == 12
    assert run.history.clock_s is None or run.history.rows[0].round_s is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scheme": "federated"}, "choose one of graph, centralized"),
        ({"match": "names"}, "match: is 'names', and the parts of a graph"),
        ({"stages": ["one"]}, "stages: is for cuts of a chain"),
    ],
    ids=lambda item: next(iter(item)) if isinstance(item, dict) else "",
)
def test_what_is_for_chains_is_refused(made, given, said):
    """One sentence each."""
    with pytest.raises(InputError, match=said):
        trained(made, 1, **given)


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch_norm", "frozen"), ("batch_norm", "local"), ("optimizer_state", "average")],
)
@pytest.mark.slow
def test_options_of_clients_that_average_are_refused(made, name, value):
    """There is one model, which nobody copies."""
    found, module, (x, y) = made
    data = as_data({"train": (x, y), "test": (x, y)})
    with pytest.raises(InputError, match=f"{name}: is '{value}'"):
        splitopt.train(found, module, data, options=Options(**{name: value}), rounds=1)


@pytest.mark.slow
def test_another_plan_does_not_take_the_scheme(tmp_path):
    """A plan of cuts has no machines with parts of a graph."""
    path = Path(tmp_path) / "plan.json"
    plan("digits-splitfed").save(path)
    with pytest.raises(InputError, match="scheme: 'graph' cannot train this plan"):
        splitopt.train(path, rounds=1, scheme="graph")
    with pytest.raises(InputError, match="scheme: 'graph' cannot train this plan"):
        splitopt.train(path, rounds=1, scheme=GraphParts)


@pytest.mark.slow
def test_a_round_beyond_the_replay_is_refused(profile):
    """It would have no time."""
    from splitopt.training.program import program_of

    long = plan(scenario(profile[0], rate="10 Gbit/s", micro_batches=1_000_000))
    with pytest.raises(InputError, match="too long to be replayed"):
        program_of(long)
