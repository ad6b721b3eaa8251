"""Devices whose adapters have ranks of their own: averages, bytes, and what is refused."""

from __future__ import annotations

import copy
import functools
import itertools
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt import InputError, Scenario  # noqa: E402
from splitopt.errors import CapabilityError  # noqa: E402
from splitopt.models import add_adapters  # noqa: E402
from splitopt.models.adapters.choice import Adapters  # noqa: E402
from splitopt.models.adapters.ranks import most_rank, rank_of, set_rank  # noqa: E402
from splitopt.profiles.tracing import find_cuts, trace  # noqa: E402
from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.model_parts.averaging import average  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.schemes import SCHEMES, Client  # noqa: E402
from splitopt.training.validation.planned_bytes import KINDS, planned_bytes  # noqa: E402

pytestmark = pytest.mark.train

WIDTH, CLASSES = 8, 3
SIZES = (10, 16, 7)


def network(rank=4):
    torch.manual_seed(0)
    layers = nn.Linear(6, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 3)
    return add_adapters(nn.Sequential(*layers), rank, targets=["0", "2"])


def clients(ranks, cuts=(2,)):
    made = torch.Generator().manual_seed(1)
    found = []
    for k, (size, rank) in enumerate(zip(SIZES, ranks, strict=True)):
        inputs = torch.randn(size, 6, generator=made)
        targets = torch.randint(0, CLASSES, (size,), generator=made)
        batches = Batches(inputs, targets, 4, 100 + k)
        found.append(Client(f"d{k}", batches, Stream(200 + k), cuts, rank=rank))
    return found


def scheme_of(ranks, name="splitfed_v1", model=None, **options):
    model = network() if model is None else model
    cuts = find_cuts(model, torch.zeros(2, 6), verify=False)
    given = Options(**{"learning_rate": 0.3, "momentum": 0.9} | options)
    return SCHEMES[name](copy.deepcopy(model), clients(ranks), given, cuts.split)


def by_hand(ranks, rounds):
    """Train every client's own model of its rank, and average each number over those who have it.

    Nothing is cut here; a model of a lower rank is made of the first rows and columns.
    """
    common, taking_part = network(), clients(ranks)
    for _ in range(rounds):
        states = [
            (client.samples, trained_alone(client, common, rank))
            for client, rank in zip(taking_part, ranks, strict=True)
        ]
        for name, whole in common.state_dict().items():
            for place in itertools.product(*map(range, whole.shape)) if "lora" in name else ():
                have = [(n, own[name][place]) for n, own in states if reaches(own[name], place)]
                if have:
                    whole[place] = sum(n * x for n, x in have) / sum(n for n, _ in have)
    return common


def reaches(value, place):
    return all(index < side for index, side in zip(place, value.shape, strict=True))


def trained_alone(client, common, rank):
    """Return the state of a client's own model after an epoch from the common numbers."""
    own = network(rank)
    for name, value in own.state_dict().items():
        value.copy_(common.state_dict()[name][tuple(slice(side) for side in value.shape)])
    trained = [p for p in own.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.3, momentum=0.9)
    for _ in range(client.batches.per_epoch):
        inputs, targets = client.batches.draw()
        optimizer.zero_grad()
        nn.functional.cross_entropy(own(inputs), targets).backward()
        optimizer.step()
    return own.state_dict()


@pytest.mark.parametrize("ranks", [(2, 4, 1), (1, 2, 1)])
def test_numbers_are_averaged_over_those_who_have_them(ranks):
    """HeteroFL's rule by loops; rows that nobody has stay as they were drawn."""
    scheme = scheme_of(ranks)
    for number in range(2):
        scheme.round(number)
    wanted = by_hand(ranks, 2).state_dict()
    for name, value in scheme.model.state_dict().items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-5, atol=1e-6)
    beyond = max(ranks)
    for layer in (0, 2):
        part, drawn = scheme.model[layer].lora_A.weight, network()[layer].lora_A.weight
        assert torch.equal(part[beyond:], drawn[beyond:])
        assert not torch.equal(part[:beyond], drawn[:beyond])


def test_equal_ranks_are_the_average_of_all_bit_for_bit():
    """Where all have the common rank, nothing differs from a plan without ranks."""
    found = []
    for ranks in ((4, 4, 4), (None, None, None)):
        scheme = scheme_of(ranks, optimizer_state="average")
        tally = [scheme.round(number).traffic for number in range(2)][-1]
        found.append((tally, scheme.model.state_dict()))
    assert found[0][0] == found[1][0]
    for name, value in found[1][1].items():
        assert torch.equal(found[0][1][name], value), name


def test_bytes_by_arithmetic():
    """A rank r of the 6 x 8 layer is 4 r (6 + 8) B, which each device sends at its own rank."""
    traffic = scheme_of((2, 4, 1)).round(0).traffic
    assert traffic.model_down == traffic.model_up == 4 * (2 + 4 + 1) * (6 + WIDTH)
    assert traffic.smashed == traffic.gradient == sum(SIZES) * 4 * WIDTH


@pytest.mark.parametrize("state", ["average", "keep"])
def test_momentum_is_kept_or_averaged_at_each_rank(state):
    """Two rounds go through, and copies of equal rank side by side learn the same."""
    plain = scheme_of((2, 4, 2), optimizer_state=state)
    for number in range(2):
        plain.round(number)
    shapes = [own.model[0].lora_A.weight.shape[0] for own in plain.copies()]
    assert shapes == [2, 4, 2]
    again = scheme_of((2, 4, 2), optimizer_state=state)
    again.load_state_dict(plain.state_dict())
    first, second = plain.round(2), again.round(2)
    assert first.traffic == second.traffic
    for name, value in plain.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name


def test_whoever_is_absent_keeps_its_rows_as_they_are():
    """A round of the lower ranks alone leaves the rows of the highest where they were."""
    scheme = scheme_of((1, 4, 1), client_fraction=0.6)
    drawn = next(n for n in range(50) if "d1" not in {c.name for c in scheme.takes_part(n)})
    scheme.round(next(n for n in range(50) if "d1" in {c.name for c in scheme.takes_part(n)}))
    before = copy.deepcopy(scheme.model.state_dict())
    scheme.round(drawn)
    after = scheme.model.state_dict()
    assert torch.equal(after["0.lora_A.weight"][1:], before["0.lora_A.weight"][1:])
    assert torch.equal(after["2.lora_B.weight"][:, 1:], before["2.lora_B.weight"][:, 1:])
    assert not torch.equal(after["2.lora_B.weight"][:, :1], before["2.lora_B.weight"][:, :1])


def test_what_needs_one_rank_is_refused():
    with pytest.raises(InputError, match=r"scheme: vanilla trains one model with adapters of one"):
        scheme_of((2, 4, 1), "vanilla")
    with pytest.raises(InputError, match="secure_aggregation: is not for a plan that gives"):
        scheme_of((2, 4, 1), secure_aggregation=True)
    with pytest.raises(InputError, match="as_published: is not for a plan that gives"):
        scheme_of((2, 4, 1), as_published=True, momentum=0.0)


def test_the_rank_of_a_model():
    """Rows and columns are kept or dropped; what the layer computes with them stays."""
    model = network(4)
    assert (rank_of(model), most_rank(model)) == (4, 6)
    assert rank_of(nn.Linear(2, 2)) is None
    first = copy.deepcopy(model[0])
    set_rank(model, 2)
    assert torch.equal(model[0].lora_A.weight, first.lora_A.weight[:2])
    assert model[0].lora_A.weight.requires_grad
    set_rank(model, 5)
    assert torch.equal(model[0].lora_A.weight[:2], first.lora_A.weight[:2])
    assert not model[0].lora_A.weight[2:].any()


def test_tensors_of_one_shape_are_averaged_as_ever():
    """And blocks of different ones number by number."""
    one, two = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6.0]])
    mean = average([{"a": one}, {"a": two}], [1, 3])["a"]
    assert mean.tolist() == [[4.0, 5.0], [3.0, 4.0]]


@functools.cache
def planned(folder, least=14, servers=1, **more):
    """Plan a fleet of the digits with a network of linear layers, profiled at rank 4."""
    document = Scenario.load("digits-splitfed").to_dict()
    document["model"] = {"file": str(folder / "net.json")}
    names = ("server", "other")[:servers]
    document["servers"] = [{"name": n, "compute": "2 GFLOP/s", "seats": 4 - servers} for n in names]
    document["devices"] = [
        {"name": "fast", "count": 2, "compute": "20 MFLOP/s", "samples": 24, "batch_size": 8},
        {"name": "slow", "compute": "2 MFLOP/s", "samples": 20, "batch_size": 8},
    ]
    document["adapters"] = {"rank": [2, 8], "least_total": least}
    document["privacy"] = {}
    return splitopt.plan(Scenario.from_dict(document | more))


def digits(rank=4):
    torch.manual_seed(0)
    layers = (
        nn.Flatten(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 16),
        nn.ReLU(),
        nn.Linear(16, 10),
    )
    return add_adapters(nn.Sequential(*layers), rank)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("ranks")
    traced = trace(digits(), torch.zeros(2, 1, 8, 8), name="net", keep_all=True)
    traced.profile.save(place / "net.json")
    return place


@pytest.mark.slow
def test_a_plan_trains_with_the_ranks_that_it_chose(folder):
    """The bytes of a round are those of the plan's own tables, device by device."""
    plan = planned(folder)
    rows = plan.prediction["devices"]
    assert sorted(row["adapter_rank"] for row in rows) == [2, 8, 8]
    run = splitopt.train(plan, digits(8), rounds=1, options=Options(learning_rate=0.1))
    found = run.history.rows[0].traffic_bytes
    assert {kind: found[kind] for kind in KINDS} == planned_bytes(program_of(plan))
    sides = {1: 0, 2: 64 + 32, 3: 64 + 32, 4: 64 + 32 + 32 + 16, 5: 144, 6: 144 + 16 + 10}
    wanted = sum(4 * row["adapter_rank"] * sides[row["cut"]] for row in rows)
    assert found["model_up"] == found["model_down"] == wanted > 0
    assert rank_of(run.model) == 8
    assert run.history.rows[0].round_s == pytest.approx(plan.prediction["round_s"])


@pytest.mark.slow
@pytest.mark.parametrize("state", ["reset", "keep", "average"])
@pytest.mark.parametrize("servers", [1, 2])
def test_over_connections_every_device_has_its_own_rank(folder, over_connections, state, servers):
    """Rank 0 has what one process has, bit for bit, and counts the same bytes."""
    plan = planned(folder, servers=servers)
    options = Options(learning_rate=0.1, momentum=0.9, optimizer_state=state)
    job = TrainingJob(plan, digits(8), options=options)
    one = prepare(job)
    assert len(one.program.server_names) == servers
    tallies = [one.scheme.round(number) for number in range(2)]
    lead, found = over_connections(job)
    assert found == tallies
    wanted = one.scheme.state_dict()
    assert lead.scheme.state_dict().keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(lead.scheme.state_dict()[name], value), name


@pytest.mark.slow
@pytest.mark.parametrize("servers", [1, 2])
def test_a_fed_server_averages_over_those_who_have_a_row(
    folder, over_connections, monkeypatch, servers
):
    """The server part after two rounds needs client parts that are averaged as in one process."""
    plan = planned(folder, servers=servers)
    program = program_of(plan)  # here with one cut for all, behind the second adapter
    clients = tuple(
        replace(client, cuts=(program.profile.layers[3],)) for client in program.clients
    )
    program = replace(program, clients=clients)
    monkeypatch.setattr("splitopt.training.preparing.prepare.program_of", lambda *_: program)
    options = Options(learning_rate=0.1, momentum=0.9, fed_server=True)
    job = TrainingJob(plan, digits(8), options=options)
    one = prepare(job)
    tallies = [one.scheme.round(number) for number in range(2)]
    lead, found = over_connections(job)
    assert found == tallies
    state = {name: value for name, value in lead.scheme.model.state_dict().items() if len(value)}
    assert any("lora_A" in name for name in state)
    for name, value in state.items():
        assert torch.equal(one.scheme.model.state_dict()[name], value), name


def test_a_model_of_another_rank_is_refused_by_name(folder):
    plan = planned(folder)
    with pytest.raises(InputError, match=r"model: has adapters of rank 4, and the highest that"):
        splitopt.train(plan, digits(4), rounds=1)
    with pytest.raises(InputError, match=r"adapters: are chosen for each device by the plan"):
        splitopt.train(plan, digits(8), rounds=1, adapters=Adapters(8))
    with pytest.raises(CapabilityError, match="adapters of different ranks, and an export has"):
        splitopt.export_plan(plan, folder / "out", model=digits(8), input_shape=(1, 8, 8))


def test_one_rank_for_all_trains_as_a_profile_of_that_rank(folder):
    """All at 8: the model of the plan has rank 8, and any scheme may train it."""
    plan = planned(folder, least=24)
    assert {row["adapter_rank"] for row in plan.prediction["devices"]} == {8}
    program = program_of(plan)
    assert not program.has_ranks
    traced = trace(digits(8), torch.zeros(2, 1, 8, 8), name="net", keep_all=True).profile
    for name, column in traced.columns.items():
        assert getattr(program.profile, name).tolist() == column.tolist()
