"""Tied weights: a language model whose head is its embedding, trained split as whole."""

from __future__ import annotations

import copy
import itertools
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import InputError, Scenario  # noqa: E402
from splitopt.models.gpt import GPT  # noqa: E402
from splitopt.profiles.tracing import find_cuts, trace  # noqa: E402
from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.model_parts.copies import Split  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.remembering_options import Remembering  # noqa: E402
from splitopt.training.schemes import SCHEMES, Client  # noqa: E402
from splitopt.training.schemes.shared_server import SharedServer  # noqa: E402
from splitopt.training.validation.planned_bytes import planned_bytes  # noqa: E402

pytestmark = pytest.mark.train

TOKENS, WORDS, WIDTH = 6, 12, 8
WEIGHT = 8 * WORDS * WIDTH
"""Bytes of the tied weight, in float64."""
SAMPLES, BATCH, EPOCHS = 10, 4, 2
STEPS = EPOCHS * 3
"""Mini-batches of a client in a round: 4, 4 and 2 of its samples, twice."""
KNOWN = {
    "sgd": ({}, torch.optim.SGD, {}),
    "momentum": ({"momentum": 0.9}, torch.optim.SGD, {"momentum": 0.9}),
    "adam": ({"optimizer": "adam"}, torch.optim.Adam, {}),
}
"""Our options, and the optimizer of PyTorch that they stand for."""


def network(tied=True):
    torch.manual_seed(0)
    return GPT(TOKENS, WORDS, width=WIDTH, heads=2, layers=2, tied=tied).double()


def batch():
    return torch.arange(2 * TOKENS).reshape(2, TOKENS) % WORDS


def criterion(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())


def batches(seed=1):
    rng = np.random.default_rng(seed)
    text = torch.tensor(rng.integers(0, WORDS, (SAMPLES, TOKENS + 1)))
    return Batches(text[:, :-1], text[:, 1:], BATCH, seed)


def scheme_of(name, cuts, model=None, count=1, **options):
    model = network() if model is None else model
    split = find_cuts(model, batch(), tied="copies")
    numbers = tuple(split.cuts.index(cut) + 1 for cut in cuts)
    clients = [Client(f"c{k}", batches(k), Stream(k), numbers) for k in range(1, count + 1)]
    given = Options(local_epochs=EPOCHS, optimizer_state="keep", learning_rate=0.05, **options)
    scheme = SCHEMES[name](model, clients, given, Split(split.split), criterion)
    return scheme.cluster([range(count)]) if name == "clustered" else scheme


def trained_whole(kind, keywords, rounds):
    """Train the unsplit model by PyTorch alone on the batches of the first client."""
    model, walk = network(), batches()
    optimizer = kind(model.parameters(), lr=0.05, **keywords)
    for _ in range(rounds * STEPS):
        inputs, targets = walk.draw()
        optimizer.zero_grad()
        criterion(model(inputs), targets).backward()
        optimizer.step()
    return model.state_dict()


def assert_equal(one, two):
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.equal(value, two[name]), name


CHAINS = [
    ("splitfed_v1", ("tokens",)),
    ("splitfed_v1", ("blocks.0",)),
    ("splitfed_v1", ("norm",)),
    ("u_shaped", ("add", "norm")),
    ("multihop", ("add", "blocks.0", "norm")),
    ("split_nn", ("tokens", "norm")),
    ("vanilla", ("blocks.0",)),
    ("splitfed_v2", ("tokens",)),
    ("clustered", ("norm",)),
]


@pytest.mark.parametrize("optimizer", KNOWN)
@pytest.mark.parametrize(("name", "cuts"), CHAINS, ids=lambda value: "-".join([*value][:3]))
@pytest.mark.one_quick
def test_split_is_whole(name, cuts, optimizer):
    """Bit by bit what PyTorch alone makes of the whole model, as both copies or in one hand."""
    own, kind, keywords = KNOWN[optimizer]
    scheme = scheme_of(name, cuts, **own)
    for number in range(2):
        scheme.round(number)
    assert_equal(scheme.model.state_dict(), trained_whole(kind, keywords, 2))


DEVICE = ("tokens", "positions", "add", "blocks.0")
"""Layers before the cut of the schemes below."""


class Models:
    """A whole model for each client, made with PyTorch alone, whose server layers are one."""

    def __init__(self, count, kind, keywords):
        self.common = network()
        self.batches = [batches(k) for k in range(1, count + 1)]
        self.models = [copy.deepcopy(self.common) for _ in range(count)]
        shared = dict(self.common.named_parameters())
        self.own = [name for name in shared if name.startswith(DEVICE)]
        for model in self.models:
            for name in set(shared) - set(self.own):
                place, _, leaf = name.rpartition(".")
                setattr(model.get_submodule(place), leaf, shared[name])
        make = partial(kind, lr=0.05, **keywords)
        self.server = make([shared[name] for name in shared if name not in self.own])
        self.device = [make([one.get_parameter(n) for n in self.own]) for one in self.models]

    def hand_out(self, clients):
        with torch.no_grad():
            for k, name in itertools.product(clients, self.own):
                self.models[k].get_parameter(name).copy_(self.common.get_parameter(name))

    def step(self, clients, rescaled=False):
        """Train all on the mean loss of their samples together, as one batch."""
        drawn = [self.batches[k].draw() for k in clients]
        pairs = zip(clients, drawn, strict=True)
        outputs = [self.models[k](inputs) for k, (inputs, _) in pairs]
        targets = [own for _, own in drawn]
        criterion(torch.cat(outputs), torch.cat(targets)).backward()
        for k, own in zip(clients, targets, strict=True):
            for name in self.own if rescaled else ():
                self.models[k].get_parameter(name).grad *= sum(map(len, targets)) / len(own)
            self.device[k].step()
            self.device[k].zero_grad()
        self.server.step()
        self.server.zero_grad()

    def collect(self, clients):
        with torch.no_grad():
            for name in self.own:
                values = [self.models[k].get_parameter(name) for k in clients]
                self.common.get_parameter(name).copy_(sum(values) / len(values))


def turns_of(name, scheme, number):
    """Return who trains side by side, and how often one after the other, step by step."""
    if name == "vanilla":
        return [([k], [[k]] * STEPS) for k in range(3)]
    if name == "clustered":
        return [([2, 0], [[2, 0]] * STEPS), ([1], [[1]] * STEPS)]
    served = scheme.served(number)
    if scheme.options.server_order == "batch":
        return [(range(3), [[k] for turn in served for k in turn])]
    return [(range(3), [[k] for k in served[0] for _ in range(STEPS)])]


SHARED = [
    ("vanilla", {}),
    ("splitfed_v2", {"server_order": "client"}),
    ("splitfed_v2", {"server_order": "batch"}),
    ("clustered", {"cut_gradient": "mean"}),
    ("clustered", {"cut_gradient": "rescaled"}),
]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", KNOWN)
@pytest.mark.parametrize(
    ("name", "more"), SHARED, ids=["vanilla", "clients", "batches", "mean", "rescaled"]
)
def test_one_server_part_is_whole_models_that_share_layers(name, more, optimizer):
    """Each device with the server's copy of its weight is a model; the other layers are one."""
    own, kind, keywords = KNOWN[optimizer]
    scheme = scheme_of(name, ("blocks.0",), count=3, **own, **more)
    if name == "clustered":
        scheme.cluster([[2, 0], [1]])
    whole = Models(3, kind, keywords)
    for number in range(2):
        traffic = scheme.round(number).traffic
        for members, steps in turns_of(name, scheme, number):
            whole.hand_out(members)
            for clients in steps:
                whole.step(clients, rescaled=more.get("cut_gradient") == "rescaled")
            whole.collect(members)
    found, wanted = scheme.model.state_dict(), whole.common.state_dict()
    for key, value in wanted.items():
        assert torch.allclose(found[key], value, rtol=1e-10, atol=1e-10), key
    begun = network().state_dict()
    assert not torch.allclose(found["tokens.weight"], begun["tokens.weight"], atol=1e-3)
    assert traffic.tied_down == 3 * STEPS * WEIGHT
    assert traffic.tied_up == 3 * (STEPS - 1) * WEIGHT


@pytest.mark.slow
def test_turns_of_some_batches_and_replay_train_tied_weights():
    """Each turn ends with the weight itself; what is replayed is computed with the same copy."""
    remembering = Remembering(turn_batches=2)
    scheme = scheme_of("vanilla", ("blocks.0",), count=2, remembering=remembering)
    traffic = scheme.round(0).traffic
    assert traffic.tied_down == 2 * STEPS * WEIGHT
    assert traffic.tied_up == 2 * (STEPS // 2) * WEIGHT
    with pytest.raises(InputError, match="ewc: penalises the weights of each part by itself"):
        scheme_of("vanilla", ("blocks.0",), count=2, remembering=Remembering(ewc=1.0))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", KNOWN)
@pytest.mark.parametrize(
    ("name", "cuts"), [*CHAINS[1:5:2], *CHAINS[6:]], ids=lambda value: "-".join([*value][:3])
)
def test_a_state_is_all_that_the_next_round_needs(name, cuts, optimizer):
    """Moments of the tied weight above all: they are those of one party's optimizer."""
    own = KNOWN[optimizer][0]
    wanted, begun = scheme_of(name, cuts, count=2, **own), scheme_of(name, cuts, count=2, **own)
    for number in range(3):
        wanted.round(number)
    begun.round(0)
    resumed = scheme_of(name, cuts, count=2, **own)
    resumed.load_state_dict(begun.state_dict())
    for number in (1, 2):
        resumed.round(number)
    assert_equal(resumed.state_dict(), wanted.state_dict())


@pytest.mark.slow
def test_bytes_by_hand():
    """Down with every mini-batch, up with all but the first; in one hand nothing, once a model."""
    traffic = scheme_of("splitfed_v1", ("blocks.0",), count=3).round(0).traffic
    assert traffic.tied_down == 3 * STEPS * WEIGHT
    assert traffic.tied_up == 3 * (STEPS - 1) * WEIGHT
    crossed = 3 * EPOCHS * SAMPLES * TOKENS * WIDTH * 8
    assert (traffic.smashed, traffic.gradient) == (crossed, crossed)
    alone = scheme_of("u_shaped", ("add", "norm"), count=3).round(0).traffic
    assert "tied_down" in traffic.to_dict()
    assert "tied_down" not in alone.to_dict()
    # Embedding and head are one weight; the positions are beside them, and the head has no bias.
    assert alone.model_down == alone.model_up == 3 * (WEIGHT + 8 * TOKENS * WIDTH)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.slow
def test_stacked_clients_are_those_one_by_one():
    """Sums are taken in another order, which 1e-10 allows in float64."""
    alone = scheme_of("splitfed_v1", ("blocks.0",), count=3, momentum=0.9)
    together = scheme_of("splitfed_v1", ("blocks.0",), count=3, momentum=0.9, batched=True)
    for number in range(2):
        assert alone.round(number).traffic == together.round(number).traffic
    for name, value in alone.state_dict().items():
        if value.is_floating_point():
            assert torch.allclose(together.state_dict()[name], value, atol=1e-10), name


class Unaware(SharedServer):
    """A scheme of somebody else, which says nothing of tied weights."""

    name = "unaware"

    def round(self, number):
        raise NotImplementedError


def test_schemes_that_exchange_nothing_are_refused(monkeypatch):
    """A server part that nobody keeps equal to the devices' would train another model."""
    monkeypatch.setitem(SCHEMES, "unaware", Unaware)
    with pytest.raises(InputError, match=r"tokens\.weight to several parties; train by splitfed"):
        scheme_of("unaware", ("norm",))
    scheme_of("unaware", ("norm",), network(tied=False))


def scenario(tmp_path, how, **sections):
    traced = trace(network(), batch(), tied=how, keep_all=True, name="tied")
    traced.profile.save(tmp_path / "tied.json")
    device = {"compute": "2 MFLOP/s", "samples": SAMPLES, "batch_size": BATCH}
    return Scenario.from_dict(
        {
            "format": "splitopt-scenario",
            "version": 1,
            "name": "texts",
            "model": {"file": str(tmp_path / "tied.json")},
            "devices": [{"name": "phone", **device}, {"name": "tablet", **device}],
            "links": {"downlink": "4 Mbit/s", "uplink": "8 Mbit/s", "shared": False},
            "training": {"epochs": EPOCHS, "rounds": 2},
            **sections,
        }
    )


STAR = {"servers": [{"name": "server", "compute": "100 MFLOP/s"}]}
NODES = {
    "nodes": [{"name": "one", "compute": "50 MFLOP/s"}, {"name": "two", "compute": "60 MFLOP/s"}],
    "pipeline": {"first_cut": "auto", "last_cut": "auto"},
}


def texts(tmp_path):
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, WORDS, size=(30, TOKENS + 1))
    np.savez(tmp_path / "texts.npz", x=tokens[:, :-1], y=tokens[:, 1:])
    return tmp_path / "texts.npz"


@pytest.mark.slow
def test_a_plan_is_trained_with_the_bytes_that_it_counts(tmp_path):
    """Plan, tally and history agree to the byte, and a run resumes bit for bit."""
    plan, data = splitopt.plan(scenario(tmp_path, "copies", **STAR)), texts(tmp_path)
    options = Options(optimizer="adam", learning_rate=0.01, optimizer_state="keep")
    given = {"task": "language", "options": options}
    run = splitopt.train(plan, network(), data, rounds=2, **given)
    sent = run.history.rows[0].traffic_bytes
    assert run.history.traffic_bytes()["tied_up"] == 2 * sent["tied_up"] > 0
    assert "tied_up_bytes" in run.history.to_csv().splitlines()[0]
    planned = planned_bytes(program_of(plan))
    assert planned == {kind: sent[kind] for kind in planned}
    assert {"tied_down", "tied_up"} <= planned.keys()
    whole = splitopt.train(plan, network(), data, rounds=2, scheme="federated", **given)
    assert_equal(run.model.state_dict(), whole.model.state_dict())
    assert "tied_up_bytes" not in whole.history.to_csv()
    kept = {"checkpoint": tmp_path / "state", **given}
    splitopt.train(plan, network(), data, rounds=1, **kept)
    resumed = splitopt.train(plan, network(), data, rounds=2, resume=True, **kept)
    assert_equal(resumed.model.state_dict(), run.model.state_dict())


@pytest.mark.slow
def test_privacy_is_not_had_with_a_weight_in_two_parts(tmp_path):
    """What its uses add up to is clipped and noised nowhere."""
    plan, data = splitopt.plan(scenario(tmp_path, "copies", **STAR)), texts(tmp_path)
    options = Options(privacy=Privacy(clip_norm=1.0, noise_multiplier=1.0, delta=1e-3))
    with pytest.raises(InputError, match=r"does not go with the weight head\.weight in two"):
        splitopt.train(plan, network(), data, rounds=1, task="language", options=options)


@pytest.mark.parametrize("scheme", [None, "u_shaped", "split_nn"])
@pytest.mark.slow
def test_the_owner_of_a_pipeline_holds_both_ends(tmp_path, scheme):
    """The chosen cuts leave both uses to the owner, and the model is what federated gives."""
    plan, data = splitopt.plan(scenario(tmp_path, "together", **NODES)), texts(tmp_path)
    given = {"task": "language", "options": Options(momentum=0.9, learning_rate=0.05)}
    run = splitopt.train(plan, network(), data, rounds=2, scheme=scheme, **given)
    sent = run.history.rows[0].traffic_bytes
    planned = planned_bytes(program_of(plan).trained_by(scheme) if scheme else program_of(plan))
    assert planned == {kind: sent[kind] for kind in planned}
    if scheme != "split_nn":
        whole = splitopt.train(plan, network(), data, rounds=2, scheme="federated", **given)
        assert_equal(run.model.state_dict(), whole.model.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("how", ["together", "copies"])
def test_a_node_with_one_of_the_ends_is_refused(tmp_path, how):
    """The message names the weight, its layers, and which cuts to take."""
    pipeline = {"pipeline": {"first_cut": "tokens", "last_cut": "blocks.0"}}
    made = splitopt.plan(scenario(tmp_path, how, **NODES | pipeline))
    assert made.decision is not None
    ends = {"pipeline": {"first_cut": 1, "last_cut": 8}}
    made = splitopt.plan(scenario(tmp_path, how, **NODES | ends))
    assert made.decision is None
    assert "tokens, head train the tied weight tokens.weight" in made.result["message"]


@pytest.mark.slow
def test_a_round_by_hand(tmp_path):
    """Eq. 12 of DP-MORA with the gradients of the weight beside the model, over own links."""
    asked = scenario(tmp_path, "copies", **STAR)
    profile, problem = asked.load_model(), splitopt.CutAndResources.from_scenario(asked)
    cut = profile.layers.index("blocks.0")
    crossing = EPOCHS * SAMPLES * TOKENS * WIDTH * 8
    model = profile.device_model_bytes[cut]
    down = 8 * (model + crossing + STEPS * WEIGHT) / 4e6
    up = 8 * (model + crossing + (STEPS - 1) * WEIGHT) / 8e6
    assert problem.download_s[0, cut] == pytest.approx(down, rel=1e-12)
    assert problem.upload_s[0, cut] == pytest.approx(up, rel=1e-12)
    last = profile.layer_count - 1  # all on the device: nothing is exchanged
    assert problem.upload_s[0, last] == pytest.approx(8 * profile.device_model_bytes[-1] / 8e6)
    plan = splitopt.plan(asked)
    assert splitopt.simulate(plan).simulated_s == pytest.approx(
        plan.prediction["round_s"], rel=1e-9
    )
    rows = {row.scheme: row for row in splitopt.compare_schemes(asked).rows}
    for name in ("sl", "sflv2"):  # the same bytes, whoever comes first
        at = profile.layers.index(rows[name].cut.partition("(")[2].rstrip(")"))
        moved = 2 * (profile.device_model_bytes[at] - model)
        moved += EPOCHS * SAMPLES * 2 * (profile.smashed_bytes[at] - TOKENS * WIDTH * 8)
        assert rows[name].traffic_bytes == 2 * (
            2 * (model + crossing) + (2 * STEPS - 1) * WEIGHT + moved
        )
    sent = 2 * (model + crossing) + (2 * STEPS - 1) * WEIGHT
    at = splitopt.profiles.ModelProfile.load(tmp_path / "tied.json").layers.index(
        rows["sflv1"].cut.partition("(")[2].rstrip(")")
    )
    assert profile.smashed_bytes[at] == profile.smashed_bytes[cut]
    differs = 2 * (profile.device_model_bytes[at] - model)
    assert rows["sflv1"].traffic_bytes == 2 * (sent + differs)


@pytest.mark.slow
def test_a_star_without_exchange_keeps_all_on_the_device(tmp_path):
    """Of the two ends one would be the server's."""
    made = splitopt.plan(scenario(tmp_path, "together", **STAR))
    last = trace(network(), batch(), tied="together", keep_all=True).profile.layer_count
    assert made.decision["cut"] == [last, last]
    compared = splitopt.compare_schemes(scenario(tmp_path, "together", **STAR))
    rows = {row.scheme: row for row in compared.rows}
    assert rows["sl"].status == rows["sflv1"].status == "infeasible"
    assert "tied weight tokens.weight" in rows["sl"].reason
