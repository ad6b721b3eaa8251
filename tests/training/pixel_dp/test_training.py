"""Training with a noise layer: every scheme, checkpoints, histories, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("safetensors")

import splitopt  # noqa: E402
from splitopt import InputError  # noqa: E402
from splitopt.training.history import History  # noqa: E402
from splitopt.training.model_parts.copies import Split  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.pixel_dp_options import PixelDP  # noqa: E402
from splitopt.training.preparing.pixel import Placed  # noqa: E402
from splitopt.training.privacy.pixel.noise import NoisyPart, PixelEntropy  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402
from splitopt.training.wire.job import check_job  # noqa: E402

pytestmark = pytest.mark.train


def pixel(**given):
    return PixelDP(**{"after": "conv1", "epsilon": 1.0, "delta": 0.05, "draws": 3, **given})


def built(make, name, cuts, **given):
    """Return a scheme of small clients whose layer 1 has noise behind it, and its noise layer."""
    model = make.cnn()
    settings = PixelDP("0", 1.0, delta=0.05, insecure_test_seed=3, **given)
    split = Split(make.split)
    clients = make.clients([8, 12], cuts)
    example = clients[0].batches.inputs[:2]
    noise = Placed(settings, 1, split, example, PixelEntropy(3))
    options = Options(learning_rate=0.1, pixel_dp=settings)
    scheme = SCHEMES[name](model, clients, options, noise.into())
    if name in ("clustered", "cpsl"):
        scheme.cluster([[0, 1]])
    scheme.noise = noise
    return scheme, noise


CHAINS = [
    ("splitfed_v1", (3,)),
    ("splitfed_v1", (1,)),
    ("splitfed_v1", ((2,), ())),
    ("splitfed_v2", (3,)),
    ("vanilla", (2,)),
    ("clustered", (3,)),
    ("federated", ()),
    ("u_shaped", (2, 6)),
    ("multihop", (1, 4)),
]


@pytest.mark.one_quick
@pytest.mark.parametrize("keep", ["recompute", "normalise"])
@pytest.mark.parametrize(("name", "cuts"), CHAINS)
def test_every_scheme_draws_noise_in_every_pass(make, monkeypatch, name, cuts, keep):
    """Once for each batch of each client, in the part that the client holds."""
    scheme, noise = built(make, name, cuts, keep=keep)
    scheme.copies()  # the parts are looked at when they are made
    drawn = []
    whole = NoisyPart.noise
    monkeypatch.setattr(
        NoisyPart, "noise", lambda self, like: drawn.append(len(like)) or whole(self, like)
    )
    scheme.round(0)
    batches = 5 if name != "clustered" else 6  # both make as many as the longer one
    assert len(drawn) == batches
    assert set(drawn) == {4}
    if keep == "normalise":
        matrix = noise.whole(scheme.model).bounds().bounds()[0].bound.value
        assert matrix <= 1 + 1e-6


def test_noise_changes_what_is_learned_and_a_test_seed_repeats_it(make):
    states = []
    for epsilon in (1.0, 1.0, 1e-6):
        scheme, noise = built(make, "splitfed_v1", (3,))
        object.__setattr__(noise.settings, "epsilon", epsilon)
        scheme.round(0)
        states.append(torch.cat([p.detach().ravel() for p in scheme.model.parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_noise_of_nothing_is_training_without(make):
    """With a radius near 0 the noise layer leaves every bit of the weights as it is."""
    scheme, _ = built(make, "splitfed_v1", (3,), radius=1e-30)
    plain = SCHEMES["splitfed_v1"](
        make.cnn(), make.clients([8, 12], (3,)), Options(learning_rate=0.1), Split(make.split)
    )
    for one in (scheme, plain):
        one.round(0)
    for own, other in zip(scheme.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(own, other)


def test_it_goes_with_the_gradients_of_single_samples(make):
    """DP-SGD takes the graph of the forward pass, whose noise is that of the smashed data."""
    pytest.importorskip("opacus", reason="needs the extra 'privacy'")
    from splitopt.training.privacy.per_sample import per_sample_gradients

    scheme, _ = built(make, "splitfed_v1", (3,))
    part = scheme.copies()[0].parts[0]
    held = part.forward(scheme.clients[0].batches.inputs[:4], first=True)
    wanted = torch.randn_like(held.result)
    found = per_sample_gradients(part, held, wanted, set())
    held.result.backward(wanted)
    for parameter, rows in found.items():
        assert torch.allclose(rows.sum(dim=0), parameter.grad, atol=1e-5)


@pytest.mark.slow
def test_a_run_from_a_plan_has_its_noise_in_history_and_checkpoint(plan_of, tmp_path):
    plan, folder = plan_of("few-splitfed"), tmp_path / "ck"
    options = Options(learning_rate=0.1, pixel_dp=pixel())
    first = splitopt.train(plan, rounds=1, options=options, checkpoint=folder)
    run = splitopt.train(plan, rounds=2, options=options, checkpoint=folder, resume=True)
    assert len(run.history) == 2
    row = run.history.rows[-1]
    assert row.pixel_dp["noise"] == pytest.approx(
        np.sqrt(2 * np.log(1.25 / 0.05)) * 0.1 * row.pixel_dp["sensitivity"]
    )
    assert 0 <= row.pixel_dp["accuracy"] <= 1
    assert first.history.rows[0] == run.history.rows[0]
    origin = run.history.origin["pixel_dp"]
    assert (origin["after"], origin["insecure_test_seed"]) == ("conv1", False)
    assert [own["kind"] for own in origin["layers"]] == ["Conv2d", "ReLU"]
    again = History.from_dict(json.loads(json.dumps(run.history.to_dict())))
    assert again == run.history
    assert "pixel_dp_noise,pixel_dp_accuracy" in run.history.to_csv().splitlines()[0]
    with pytest.raises(InputError, match="options"):
        splitopt.train(plan, rounds=3, options=Options(learning_rate=0.1), checkpoint=folder,
                       resume=True)  # fmt: skip


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"after": "conv9"}, "after: is 'conv9', which is no cut of the model; noise can stand"),
        ({"after": "fc1"}, "after: is 'fc1', but .* is cut before it, behind 'pool1'"),
    ],
)
def test_places_that_are_none(plan_of, given, words):
    with pytest.raises(InputError, match=words):
        splitopt.train(plan_of("few-splitfed"), rounds=1, options=Options(pixel_dp=pixel(**given)))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pixel_dp": 3}, "pixel_dp: is of type int, it must be PixelDP"),
        ({"nopeek": 1.0, "batched": True}, "batched: does not go together with nopeek"),
        ({"nopeek": -1.0}, "nopeek: is -1.0, it must be a number >= 0"),
        ({"nopeek": float("nan")}, "nopeek: is nan"),
    ],
)
def test_options_beside_it(given, words):
    with pytest.raises(InputError, match=words):
        Options(**given)


@dataclasses.dataclass
class _Job:
    options: Options
    scheme: None = None
    device: str = "cpu"


def test_nopeek_is_not_for_the_wire():
    with pytest.raises(InputError, match="nopeek: is for training in one process"):
        check_job(_Job(Options(nopeek=0.5)))


def test_data_of_whole_numbers_have_no_small_changes(make):
    from splitopt.profiles.tracing import find_cuts
    from splitopt.training.preparing.pixel import placed

    split = find_cuts(make.cnn(), torch.randn(2, 1, 8, 8))
    settings = pixel(after=split.cuts[0])
    for example in (torch.zeros(2, 4, dtype=torch.long), {"a": torch.zeros(2, 4)}):
        with pytest.raises(InputError, match="pixel_dp: hides changes of one input of floating"):
            placed(split, Split(split.split), settings, example)


def test_batches_are_not_reused(make):
    """The example of a noise layer holds no sample."""
    _, noise = built(make, "splitfed_v1", (3,))
    layer = noise.whole(make.cnn())
    assert float(layer._example.abs().sum()) == 0
