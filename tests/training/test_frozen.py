"""Frozen layers: only what training changes travels, and what is learned is what PyTorch learns."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import InputError, Scenario  # noqa: E402
from splitopt.models.cnn import cnn as digits_cnn  # noqa: E402
from splitopt.profiles.counting.memory import layer_memory_bytes  # noqa: E402
from splitopt.profiles.tracing import trace  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.program import program_of  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402
from splitopt.training.validation.planned_bytes import KINDS, planned_bytes  # noqa: E402

pytestmark = pytest.mark.train

SIZES = (10, 16, 7)
SAMPLES = sum(SIZES)
CONV, LINEAR, HEAD = 4 * (4 * 9 + 4), 4 * (64 * 16 + 16), 4 * (16 * 3 + 3)
"""Bytes of the parameters of the test network's layers, by their shapes."""
ADAPTER = 4 * (64 * 2 + 2 * 16)
AFTER_CONV, AFTER_LINEAR = 4 * 4 * 8 * 8, 4 * 16
"""Bytes of a sample behind the first activation, and behind the first linear layer."""


def build(make, name, cuts, options=None, **model):
    scheme = SCHEMES[name](
        make.cnn(**model), make.clients(SIZES, cuts), options or Options(), make.split
    )
    if name == "clustered":
        scheme.cluster([[0, 2], [1]])
    return scheme


@pytest.mark.parametrize(
    ("name", "cuts", "model", "wanted"),
    [
        ("splitfed_v1", (3,), {}, (AFTER_CONV, AFTER_CONV, CONV)),
        ("splitfed_v1", (3,), {"frozen": (0,)}, (AFTER_CONV, 0, 0)),
        ("splitfed_v1", (7,), {"frozen": (0,)}, (AFTER_LINEAR, AFTER_LINEAR, LINEAR)),
        (
            "splitfed_v1",
            (7,),
            {"frozen": (0,), "adapter": 2},
            (AFTER_LINEAR, AFTER_LINEAR, ADAPTER),
        ),
        ("splitfed_v1", (3,), {"frozen": (7,)}, (AFTER_CONV, AFTER_CONV, CONV)),
        ("federated", (), {"frozen": (0,), "adapter": 2}, (0, 0, ADAPTER + HEAD)),
        ("clustered", (3,), {"frozen": (0,)}, (AFTER_CONV, 0, 0)),
        ("clustered", (7,), {"adapter": 2}, (AFTER_LINEAR, AFTER_LINEAR, CONV + ADAPTER)),
        ("vanilla", (3,), {"frozen": (0,)}, (AFTER_CONV, 0, 0)),
        ("splitfed_v2", (3,), {"frozen": (0,)}, (AFTER_CONV, 0, 0)),
        (
            "multihop",
            (3, 7),
            {"frozen": (0,), "adapter": 2},
            (AFTER_CONV + AFTER_LINEAR, AFTER_LINEAR, HEAD),
        ),
    ],
)
def test_bytes_by_arithmetic(make, name, cuts, model, wanted):
    """Smashed data and gradients of a sample, and the model of a device, from shapes alone."""
    traffic = build(make, name, cuts, **model).round(0).traffic
    sent, returned, held = wanted
    # In the cluster of 10 and 7 samples both make 3 batches of 4, and the second begins anew.
    samples = SAMPLES + 4 if name == "clustered" else SAMPLES
    assert traffic.smashed == samples * sent
    assert traffic.gradient == samples * returned
    assert traffic.model_down == traffic.model_up == len(SIZES) * held
    assert traffic.statistics == 0


@pytest.mark.parametrize(("policy", "ways"), [("average", 2), ("local", 1), ("frozen", 0)], ids=str)
def test_statistics_travel_apart(make, policy, ways):
    """Batch normalisation of 4 channels: mean and variance, and a count of 8 B.

    Local ones go up, for the common model's tests, and never down; frozen ones do not travel.
    """
    scheme = build(make, "splitfed_v1", (3,), Options(batch_norm=policy), batch_norm=True)
    traffic = scheme.round(0).traffic
    assert traffic.statistics == ways * len(SIZES) * (2 * 4 * 4 + 8)
    assert traffic.model_down == len(SIZES) * (CONV + 4 * 2 * 4)


@pytest.mark.one_quick
@pytest.mark.parametrize(
    "model",
    [{"frozen": (0,)}, {"frozen": (6,)}, {"frozen": (7,)}, {"frozen": (0,), "adapter": 2}],
    ids=["first", "middle", "last", "adapter"],
)
@pytest.mark.parametrize(
    ("name", "cuts"),
    [("splitfed_v1", (3,)), ("splitfed_v1", ((7,), (1,), ())), ("multihop", (3, 7))],
)
def test_what_is_learned_is_what_pytorch_learns(make, fedavg, model, name, cuts):
    """Bit for bit, and what is frozen does not move by a bit."""
    scheme = build(make, name, cuts, Options(learning_rate=0.1, momentum=0.9), **model)
    before = {key: value.clone() for key, value in scheme.model.state_dict().items()}
    for number in range(3):
        scheme.round(number)
    wanted = fedavg(make.cnn(**model), make.clients(SIZES, ()), 3, 0.1)
    for key, value in wanted.state_dict().items():
        assert torch.equal(scheme.model.state_dict()[key], value), key
    for key, parameter in scheme.model.named_parameters():
        assert torch.equal(parameter, before[key]) != parameter.requires_grad, key


def test_clients_side_by_side_learn_the_same(make):
    """Stacked copies know what is frozen too; in float64, up to the order of sums."""
    found = []
    for batched in (False, True):
        clients = make.clients((8, 8), (7,), dtype=torch.float64)
        model = make.cnn(frozen=(0,), adapter=2, dtype=torch.float64)
        scheme = SCHEMES["splitfed_v1"](model, clients, Options(batched=batched), make.split)
        found.append((scheme.round(0).traffic, scheme.model.state_dict()))
    assert found[0][0] == found[1][0]
    for key, value in found[0][1].items():
        torch.testing.assert_close(found[1][1][key], value, rtol=1e-10, atol=1e-12)


def frozen_digits():
    """Build the shipped network, with its first layer (8 x 9 weights and 8 biases) frozen."""
    model = digits_cnn((1, 8, 8), 10)
    model[0].requires_grad_(False)
    return model


def test_profile_plan_and_training_count_the_same(tmp_path):
    """By hand: behind the first layers a sample is of 8 x 64, 8 x 16, 16 x 16 and 16 x 4 floats."""
    model = frozen_digits()
    profile = trace(model, torch.zeros(2, 1, 8, 8), name="frozen", keep_all=True).profile
    first, second = 4 * 80, 4 * (16 * 72 + 16)
    whole = 4 * sum(p.numel() for p in model.parameters())
    assert list(profile.device_model_bytes[:4]) == [0, 0, second, second]
    assert profile.device_model_bytes[-1] == whole - first
    assert list(profile.gradient_bytes[:4]) == [0, 0, 4 * 16 * 16, 4 * 16 * 4]
    assert list(profile.smashed_bytes[:4]) == [4 * 8 * 64, 4 * 8 * 16, 4 * 16 * 16, 4 * 16 * 4]
    assert list(profile.device_backward_flop[:2]) == [0, 0]
    # the second layer's weights have a gradient, its input has none: one product instead of two
    assert (
        profile.device_backward_flop[2]
        == profile.device_forward_flop[2] - (profile.device_forward_flop[1])
    )
    assert profile.device_memory_fixed_bytes[0] == first
    assert profile.device_memory_fixed_bytes[2] == first + 2 * second
    assert profile.device_memory_per_sample_bytes[0] == 0
    adam = layer_memory_bytes(profile, 1, "adam") - layer_memory_bytes(profile, 1, "saved")
    assert list(adam[:3]) == [0, 0, 3 * second]
    file = tmp_path / "frozen.json"
    profile.save(file)
    assert splitopt.profiles.ModelProfile.load(file) == profile

    document = Scenario.load("digits-splitfed").to_dict() | {"model": {"file": str(file)}}
    for device in document["devices"]:
        device["samples"] = 40
    plan = splitopt.plan(Scenario.from_dict(document))
    row = splitopt.train(plan, model, rounds=1).history.rows[0]
    planned = planned_bytes(program_of(plan))
    assert {kind: row.traffic_bytes[kind] for kind in KINDS} == planned
    with pytest.raises(InputError, match="trained parameters up to layer"):
        splitopt.train(plan, digits_cnn((1, 8, 8), 10), rounds=1)


def test_a_model_with_nothing_to_train_is_refused(make):
    with pytest.raises(InputError, match="no parameter that is trained: all are frozen"):
        build(make, "splitfed_v1", (3,), frozen=(0, 6, 7))
