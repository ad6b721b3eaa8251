"""Training over cuts that several tensors cross: as the whole, in one process and on the wire."""

from __future__ import annotations

import functools
import importlib.util
import json
import threading
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

import splitopt  # noqa: E402
from splitopt.cli.entry import run as shell  # noqa: E402
from splitopt.latency.pipeline import OwnerParts, Stages  # noqa: E402
from splitopt.plans import Plan  # noqa: E402
from splitopt.profiles.tracing import find_cuts, trace  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.simulation.system import PipelineSystem  # noqa: E402
from splitopt.training.codecs.crossing import Crossing  # noqa: E402
from splitopt.training.codecs.registry import make_codec  # noqa: E402
from splitopt.training.data.batches import Batches  # noqa: E402
from splitopt.training.model_parts.copies import Split  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.randomness import Stream  # noqa: E402
from splitopt.training.schemes import SCHEMES, Client, Multihop  # noqa: E402
from splitopt.training.validation.planned_bytes import planned_bytes  # noqa: E402
from splitopt.training.wire import launch  # noqa: E402
from splitopt.training.wire.crew import Crew, join  # noqa: E402
from splitopt.training.wire.deadlines import Deadline  # noqa: E402
from splitopt.training.wire.pipeline.coordinator import Pipeline  # noqa: E402
from splitopt.training.wire.pipeline.parties import take_part  # noqa: E402
from splitopt.training.wire.pipeline.timing import timing_of  # noqa: E402
from splitopt.training.wire.transport.listener import listen  # noqa: E402
from splitopt.training.wire.transport.tokens import Token  # noqa: E402

pytestmark = pytest.mark.train

NETWORKS = Path(__file__).parents[1] / "profiles" / "tracing" / "cuts" / "several.py"
SIZES, BATCH, MS = (7, 10), 5, 1e-3
CODECS = [
    {},
    {"codec": "fp16"},
    {"codec": "int8:channel", "gradient_codec": "topk:0.25"},
    {"codec": "topk:0.5:feedback", "gradient_codec": "int4:stochastic"},
]


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    spec = importlib.util.spec_from_file_location("several", NETWORKS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


KINDS = {"mask": lambda own: own.Masked(), "types": lambda own: own.TwoTypes()}


def inputs_of(name, rng, n):
    if name == "mask":
        return torch.tensor(rng.integers(0, 4, (n, 5)))
    if name == "types":
        return torch.tensor(rng.normal(size=(n, 6)), dtype=torch.float32)
    return torch.tensor(rng.normal(size=(n, 1, 8, 8)), dtype=torch.float32)


CUTS = {
    "mask": ("embed", "blocks.b0", "blocks.b1.mlp.1"),
    "unet": ("pool2", "middle", "dec2"),
    "types": ("left", "right", "back"),
}


def model_of(networks, name):
    """Make a network by its name."""
    return networks.UNet(classes=3) if name == "unet" else KINDS[name](networks)


@functools.cache
def cuts_of(networks, name):
    """Find the cuts of a network once: finding them takes longer than a round."""
    inputs = inputs_of(name, np.random.default_rng(0), 2)
    return find_cuts(model_of(networks, name), inputs, most_tensors=3)


def made(networks, name, kind, options, cuts=None):
    """Make a scheme of two clients; centralized if no cuts are to be made."""
    split = cuts_of(networks, name)
    torch.manual_seed(1)
    model = model_of(networks, name)
    rng = np.random.default_rng(0)
    names = CUTS[name] if cuts is None else cuts
    numbers = tuple(split.cuts.index(cut) + 1 for cut in names)
    packed = {split.cuts.index(cut) + 1: layout for cut, layout in split.layouts.items()}
    clients = []
    for k, n in enumerate(SIZES):
        batches = Batches(
            inputs_of(name, rng, n), torch.tensor(rng.integers(0, 3, n)), BATCH, 100 + k
        )
        clients.append(Client(f"d{k}", batches, Stream(200 + k), numbers))
    made_of = Split(split.split, split.state.written, packed)
    return SCHEMES[kind](model, clients, options, made_of, nn.functional.cross_entropy)


def assert_same(one, two):
    for name, value in two.model.state_dict().items():
        assert torch.equal(one.model.state_dict()[name], value), name


@pytest.mark.one_quick
@pytest.mark.parametrize("name", ["unet", "mask", "types"])
def test_a_chain_learns_what_the_whole_learns(networks, name):
    """Two rounds with momentum: the weights are bit for bit those without any cut."""
    options = Options(momentum=0.9, optimizer_state="keep", weights="uniform")
    found = made(networks, name, "multihop", options)
    wanted = made(networks, name, "federated", options, cuts=())
    tallies = [found.round(number) for number in range(2)]
    for number in range(2):
        wanted.round(number)
    assert_same(found, wanted)
    # By hand: at each cut the bytes of a sample, and of those of real numbers the gradients.
    up, down = {
        "unet": 2 * (4 * (256 + 128 + 32) + 4 * (256 + 128 + 64) + 4 * (256 + 128),),
        "mask": (3 * 8 + 4 * (30 + 30 + 90), 4 * (30 + 30 + 90)),
        # x and left; left and right, of 5 numbers of 2 bytes; half of left and what right became.
        "types": 2 * (4 * 16 + (4 * 8 + 2 * 5) + (4 * 8 + 2 * 8),),
    }[name]
    assert [tally.traffic.smashed for tally in tallies] == 2 * [sum(SIZES) * up]
    assert [tally.traffic.gradient for tally in tallies] == 2 * [sum(SIZES) * down]


def test_sections_are_encoded_each_by_itself(networks):
    """What arrives is what the codec makes of each tensor alone; masks are as they were."""
    torch.manual_seed(0)
    x = networks.MASKS
    split = find_cuts(networks.Masked(), x, most_tensors=3)
    layout = split.layouts["blocks.b0"]
    value = split.segments(["blocks.b0"])[0](x).detach()
    mask, state = value[:, :2], value[:, 2:]
    assert torch.isnan(mask).sum() == 0  # and so that bits are compared:
    for text in ("fp16", "int8", "int4:channel", "topk:0.1"):
        codec = make_codec(text)
        crossing = Crossing({"up": codec, "down": codec}, "d0", layouts={0: layout})
        own = Crossing({"up": codec, "down": codec}, "d0")
        shaped = state.reshape(len(x), 5, 6)
        found = crossing.up(0, value)
        assert torch.equal(found[:, :2].view(torch.uint8), mask.view(torch.uint8)), text
        assert torch.equal(found[:, 2:], own.up(0, shaped).reshape(len(x), 30)), text
        assert crossing.size("up", value, 0) == 8 * len(x) + own.size("up", shaped)
        assert crossing.encode("up", 0, value).size == crossing.size("up", value, 0)
        back = crossing.down(0, value)
        assert torch.equal(back[:, :2], torch.zeros_like(mask))
        assert crossing.size("down", value, 0) == own.size("down", shaped)


def test_each_type_is_encoded_by_itself(networks):
    """What arrives is what the codec makes of each tensor in its own type."""
    torch.manual_seed(0)
    x = torch.randn(6, 6)
    split = find_cuts(networks.TwoTypes(), x, most_tensors=2)
    layout = split.layouts["right"]
    value = split.segments(["right"])[0](x).detach()
    wide, narrow = value[:, :8], value[:, 8:].to(torch.bfloat16)
    assert [one.dtype for one in layout.sections] == [torch.float32, torch.bfloat16]
    for text in ("none", "fp16", "bf16", "int8", "int4:channel", "topk:0.25"):
        codecs = {} if text == "none" else {"up": make_codec(text), "down": make_codec(text)}
        crossing = Crossing(codecs, "d0", layouts={0: layout})
        for way in ("up", "down"):
            own, other = Crossing(codecs, "d0"), Crossing(codecs, "d0")
            found = getattr(crossing, way)(0, value)
            assert found.dtype is torch.float32
            assert torch.equal(found[:, :8], getattr(own, way)(0, wide)), text
            assert torch.equal(found[:, 8:], getattr(other, way)(0, narrow).float()), text
            size = own.size(way, wide) + own.size(way, narrow)
            assert crossing.size(way, value) == crossing.encode(way, 0, value).size == size
            assert crossing.planned(way, value.shape, value.dtype, 0) == (size, 6 * (32 + 10))
    assert crossing.ways == {"up", "down"} == Crossing(layouts={0: layout}).ways


@pytest.mark.one_quick
@pytest.mark.parametrize("codec", ["none", "int8"])
def test_a_plan_counts_each_type_as_it_travels(networks, tmp_path, codec):
    """16 samples of 3 devices: 8 numbers of 4 bytes and 5 of 2, or each in a byte and scales."""
    torch.manual_seed(0)
    traced = trace(networks.TwoTypes(), torch.randn(2, 6), most_tensors=2, keep_all=True)
    traced.profile.save(tmp_path / "net.json")
    document = Scenario.load("digits-clusters").to_dict()
    document |= {
        "devices": [document["devices"][0] | {"count": 3, "samples": 32}],
        "model": {"file": str(tmp_path / "net.json")},
        "clusters": {"sizes": [2, 1], "cut": "right"},
        "training": {"epochs": 1, "rounds": 1},
    }
    plan = splitopt.plan(Scenario.from_dict(document))
    rng = np.random.default_rng(0)
    data = rng.normal(size=(200, 6)).astype(np.float32), rng.integers(0, 3, 200)
    run = splitopt.train(plan, networks.TwoTypes(), data, rounds=1, options=Options(codec=codec))
    sent, program = run.history.rows[0].traffic_bytes, program_of(plan)
    assert planned_bytes(program)["smashed"] == 3 * 16 * (8 * 4 + 5 * 2)
    predicted = planned_bytes(program, run.scheme)
    assert (sent["smashed"], sent["gradient"]) == (predicted["smashed"], predicted["gradient"])
    assert (sent["smashed"] < 3 * 16 * 42) == (codec == "int8")


def test_bytes_that_are_no_numbers_stay_bit_for_bit(networks):
    """A mask whose words are not-a-number, subnormal or minus zero is not touched by feedback."""
    make, x = networks.CASES["mixed"]
    torch.manual_seed(0)
    x = (x[0], torch.tensor([[0, 0, 0, 0, n] for n in (-1, 2**31 + 5, 2**22 + 3, 0x7FA00000)]))
    split = find_cuts(make(), (x[0], x[1].clamp(0, 6)), most_tensors=3)
    (cut,) = [name for name in split.cuts if name == "add#2"]
    layout = split.layouts[cut]
    value = torch.cat([x[1][:, -1:].view(torch.float32), torch.randn(4, 3)], 1)
    codec = make_codec("topk:0.34:feedback")
    crossing = Crossing({"up": codec, "down": codec}, "d0", layouts={0: layout})
    total = torch.zeros(4, 3)
    for _ in range(3):
        found = crossing.up(0, value)
        assert torch.equal(found[:, :2].clone().view(torch.int64), x[1][:, -1:])
        total += found[:, 2:]
    kept = crossing.state_dict()["up.0"]
    assert torch.equal(kept[:, :2], torch.zeros(4, 2))
    assert torch.allclose(total + kept[:, 2:], 3 * value[:, 2:], atol=1e-5)


def timing(scale):
    owners = OwnerParts(*(np.full(2, MS) for _ in range(8)))
    stages = Stages(np.full(2, MS), np.full(2, MS))
    batches = np.array([-(-size // BATCH) for size in SIZES])
    system = PipelineSystem(
        stages, owners, batches, None, None, "full", ("one", "two"), ("d0", "d1")
    )
    sizes = np.array([1000.0, 1000.0, 1000.0])
    return timing_of(system, sizes, sizes, scale)


@pytest.mark.slow
@pytest.mark.parametrize("codecs", CODECS, ids=str)
@pytest.mark.parametrize("name", ["unet", "mask", "types"])
def test_a_pipeline_over_connections_learns_the_same(networks, name, codecs):
    """Weights, what is left out and bytes are those of one process, with every kind of codec."""
    options = Options(momentum=0.9, optimizer_state="keep", **codecs)
    schemes = [made(networks, name, "multihop", options) for _ in range(6)]
    wanted, scheme, *others = schemes
    tallies = [wanted.round(number) for number in range(2)]
    assert isinstance(scheme, Multihop)
    token, errors = Token.new(), {}
    listener = listen(None, 0, token)

    def follow(rank):
        try:
            with join("127.0.0.1", listener.port, token, rank, {}, 120.0) as channel:
                take_part(others[rank - 1], rank, channel, timing, token)
        except Exception as error:
            errors[rank] = error

    threads = [threading.Thread(target=follow, args=(rank,)) for rank in range(1, 5)]
    for thread in threads:
        thread.start()
    try:
        with Crew(listener, ("d0", "d1", "one", "two"), {}) as crew:
            crew.wait(120.0)
            leader = Pipeline(scheme, timing(0.1), crew, Deadline(None, 120.0))
            found = [leader.round(number) for number in range(2)]
    finally:
        for thread in threads:
            thread.join(30)
    assert errors == {}
    assert_same(scheme, wanted)
    assert found == tallies
    assert leader.sent_bytes["activations"] == sum(tally.traffic.smashed for tally in tallies)
    assert leader.sent_bytes["gradients"] == sum(tally.traffic.gradient for tally in tallies)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Profile a U-Net from the shell, and plan with a cut that three tensors cross."""
    place = tmp_path_factory.mktemp("several")
    (place / "several.py").write_text(NETWORKS.read_text())
    model, profile = f"{place / 'several.py'}:digits_unet", place / "unet.json"
    words = ["profile", model, "--input-shape", "1,8,8", "--most-tensors", "3", "-o", str(profile)]
    assert shell(words) == 0
    document = Scenario.load("digits-clusters").to_dict()
    device = document["devices"][0] | {"count": 3, "samples": 32}
    document |= {"devices": [device], "model": {"file": str(profile)}}
    document |= {"clusters": {"sizes": [2, 1], "cut": "middle"}}
    document |= {"training": {"epochs": 1, "rounds": 2}}
    (place / "scenario.json").write_text(json.dumps(document))
    splitopt.plan(Scenario.from_dict(document)).save(place / "plan.json")
    return place


@pytest.mark.slow
def test_the_shell_trains_what_it_has_profiled(folder):
    """Profile, plan and train: a batch of 16 of each device, the plan's bytes, and by hand."""
    words = ["train", str(folder / "plan.json"), "--model", f"{folder / 'several.py'}:digits_unet"]
    assert shell([*words, "--rounds", "1", "--csv", str(folder / "rounds.csv")]) == 0
    for to in ("torch", "torch-export"):  # each compares what it has written with the parts
        target = ["--to", to, "-o", str(folder / to)]
        assert shell(["export", *words[1:], *target]) == 0
    plan = Plan.load(folder / "plan.json")
    run = splitopt.train(plan, f"{folder / 'several.py'}:digits_unet", rounds=1)
    predicted = planned_bytes(program_of(plan))
    assert predicted["smashed"] == predicted["gradient"] == 3 * 16 * 4 * (256 + 128 + 64)
    (row,) = run.history.rows
    sent = row.traffic_bytes
    assert (sent["smashed"], sent["gradient"]) == (predicted["smashed"], predicted["gradient"])


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["none", "int8:channel"])
def test_processes_learn_what_one_process_learns(folder, codec):
    """A process for each party on the loopback, bit for bit, and the plan's bytes."""
    plan, model = Plan.load(folder / "plan.json"), f"{folder / 'several.py'}:digits_unet"
    options = Options(momentum=0.9, codec=codec)
    run = launch.run_wire(plan, model, options=options, rounds=2, time_scale=1e-3, any_speed=True)
    wanted = splitopt.train(plan, model, options=options, rounds=2)
    for name, value in wanted.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], value), name
    assert run.history == wanted.history
    if codec == "none":
        predicted = planned_bytes(run.program)
        assert run.sent_bytes["smashed"] == 2 * predicted["smashed"]
        assert run.sent_bytes["gradient"] == 2 * predicted["gradient"]
