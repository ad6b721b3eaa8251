"""Batches as long as their own longest sample: what is learned is the same, and less is sent."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

import splitopt  # noqa: E402
from splitopt import Scenario  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.models.gpt import GPT  # noqa: E402
from splitopt.profiles.tracing import find_cuts, trace  # noqa: E402
from splitopt.report.training import training_to_html  # noqa: E402
from splitopt.training.data.named import Named  # noqa: E402
from splitopt.training.data.positions import Positions  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.shorter import check_shorter  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.tasks import TASKS  # noqa: E402
from splitopt.training.tasks.collating import pad_tokens  # noqa: E402
from tests.training.padding_cases import (  # noqa: E402
    MOST,
    NEXT,
    ROWS,
    SOURCE,
    TEXTS,
    WIDTH,
    WORDS,
    data_of,
    model,
)

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def plan_of(tmp_path_factory):
    """Return the plan of a model: three devices that hold a first part."""
    folder, made = tmp_path_factory.mktemp("plans"), {}

    def plan(name, most=1):
        if name not in made:
            own = model(name)
            found = data_of().train_inputs[:2].arranged(own)
            example = found if isinstance(found, torch.Tensor) else found.arguments
            path = folder / f"{name}.json"
            trace(own, example, name="net", keep_all=True, most_tensors=most).profile.save(path)
            document = Scenario.load("digits-splitfed").to_dict() | {"model": {"file": str(path)}}
            device = {"compute": "2 kFLOP/s", "samples": 12, "batch_size": ROWS}
            document["devices"] = [{"name": k, **device} for k in "abc"]
            made[name] = splitopt.plan(Scenario.from_dict(document))
        return made[name]

    return plan


def longest_of(run):
    """Return rows and longest length of every batch of the last round, from who drew what."""
    found = []
    for client in run.scheme.clients:
        order = client.batches.state_dict()["order"]
        lengths = client.batches.inputs.tensors["padding mask"].sum(dim=1)
        found += [(len(rows), int(lengths[rows].max())) for rows in order.split(ROWS)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Reader", "Unmasked"])
@pytest.mark.parametrize("scheme", [None, "vanilla", "splitfed_v2", "federated"])
def test_it_is_learned_what_longer_padding_learns(plan_of, name, scheme):
    """Up to rounding; the bytes are those of the longest sample of each batch."""
    given = {"task": "language", "rounds": 2, "scheme": scheme}
    runs = [
        splitopt.train(
            plan_of(name),
            model(name),
            (TEXTS, NEXT),
            options=Options(learning_rate=0.3, momentum=0.5, padding=padding),
            **given,
        )
        for padding in ("data", "batch")
    ]
    for key, value in runs[1].model.state_dict().items():
        assert torch.allclose(value, runs[0].model.state_dict()[key], atol=1e-5), key
    for one, other in zip(runs[0].history, runs[1].history, strict=True):
        assert one.loss == pytest.approx(other.loss, abs=1e-5)
        assert one.metrics == pytest.approx(other.metrics, rel=1e-4)
    assert "padding" not in runs[0].history.origin
    text = training_to_html({"": runs[1].history})
    assert "samples as long as the longest; batches were shorter" in text
    if scheme == "federated":
        return
    sent = [run.history.rows[-1].traffic_bytes for run in runs]
    batches, epochs = longest_of(runs[1]), runs[1].scheme.options.local_epochs
    shape, kind, _ = runs[0].scheme.about.crossed(runs[0].scheme.clients[0].cuts)[0]
    assert shape[0] == MOST
    assert sent[0]["smashed"] == epochs * 36 * MOST * shape[1] * kind.itemsize
    if epochs == 1:
        tokens = sum(rows * longest for rows, longest in batches)
        assert sent[1]["smashed"] == tokens * shape[1] * kind.itemsize
        assert sent[1]["label"] == tokens * 8
    assert sent[1]["gradient"] < 0.6 * sent[0]["gradient"]
    assert sent[1]["model_up"] == sent[0]["model_up"]


def _packed_bytes(run):
    """Compute what a round sends of values and masks: the mask in whole numbers of 4 bytes."""
    batches, epochs = longest_of(run), run.scheme.options.local_epochs
    assert epochs == 1
    values = sum(rows * longest * WIDTH * 4 for rows, longest in batches)
    return values, sum(rows * -(-longest // 4) * 4 for rows, longest in batches)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TwoWays", "FlatWays"])
@pytest.mark.parametrize("scheme", [None, "vanilla", "splitfed_v2"])
@pytest.mark.parametrize("codec", ["none", "fp16"])
def test_several_tensors_are_packed_for_the_length_of_their_batch(plan_of, scheme, codec, name):
    """Learned is what longer padding learns; the bytes are counted by hand."""
    given = {"task": "language", "rounds": 2, "scheme": scheme}
    runs = [
        splitopt.train(
            plan_of(name, 2),
            model(name),
            (TEXTS, NEXT),
            options=Options(learning_rate=0.3, momentum=0.5, padding=padding, codec=codec),
            **given,
        )
        for padding in ("data", "batch")
    ]
    for key, value in runs[1].model.state_dict().items():
        assert torch.allclose(value, runs[0].model.state_dict()[key], atol=1e-5), key
    sent = runs[1].history.rows[-1].traffic_bytes
    values, masks = _packed_bytes(runs[1])
    assert sent["smashed"] == (values if codec == "none" else values // 2) + masks
    assert sent["gradient"] == (values if codec == "none" else values // 2)


@pytest.mark.slow
def test_a_label_of_a_text_is_not_cut(plan_of):
    labels = np.array([int(own.sum()) % 3 for own in TEXTS])
    runs = [
        splitopt.train(
            plan_of("Labelled"),
            model("Labelled"),
            (TEXTS, labels),
            rounds=2,
            options=Options(learning_rate=0.3, padding=padding),
        )
        for padding in ("data", "batch")
    ]
    assert [row.loss for row in runs[0].history] == pytest.approx(
        [row.loss for row in runs[1].history], abs=1e-5
    )


@pytest.mark.one_quick
@pytest.mark.parametrize("name", ["Reader", "TwoWays"])
@pytest.mark.parametrize("codec", ["fp16", "int8:channel", "topk:0.25"])
def test_codecs_write_what_is_there(plan_of, codec, name):
    """All take batches of different lengths, with what topk left out of the ones before."""
    options = Options(learning_rate=0.1, padding="batch", codec=codec, gradient_codec="none")
    run = splitopt.train(
        plan_of(name, 2 if name == "TwoWays" else 1),
        model(name),
        (TEXTS, NEXT),
        task="language",
        rounds=2,
        options=options,
    )
    sent = run.history.rows[-1].traffic_bytes
    if codec == "fp16" and name == "Reader":
        assert sent["smashed"] * 2 == sent["gradient"]
    assert 0 < sent["smashed"] < sent["gradient"]
    assert run.history.rows[1].loss < run.history.rows[0].loss


@pytest.mark.slow
def test_private_batches_are_cut_as_well(plan_of):
    pytest.importorskip("opacus", reason="needs the extra 'privacy'")
    privacy = Privacy(1.0, 0.5, insecure_test_seed=3)
    rows = []
    for padding in ("data", "batch"):
        options = Options(learning_rate=0.1, padding=padding, privacy=privacy)
        run = splitopt.train(
            plan_of("Unmasked"),
            model("Unmasked"),
            (TEXTS, NEXT),
            task="language",
            rounds=1,
            options=options,
        )
        rows.append(run.history.rows[-1])
    assert rows[0].loss == pytest.approx(rows[1].loss, abs=1e-4)
    assert rows[1].traffic_bytes["smashed"] < rows[0].traffic_bytes["smashed"]


def test_what_has_positions_is_seen_in_the_data():
    """A second side of the same length by chance is left alone."""
    found = Positions.of(data_of())
    assert (found.room, found.inputs, found.targets) == (MOST, {"", "padding mask"}, True)
    labels = np.arange(60) % 3
    assert not Positions.of(data_of(labels, "classification")).targets
    data = data_of()
    inputs = [
        Named({**own.tensors, "more": torch.arange(len(own) * MOST).reshape(-1, MOST)})
        for own in (data.train_inputs, data.test_inputs)
    ]
    other = replace(data, train_inputs=inputs[0], test_inputs=inputs[1])
    assert Positions.of(other).inputs == {"", "padding mask"}


def _left(inputs, targets, length):
    values, mask, wanted = pad_tokens(inputs, targets, length)
    return values.flip(1), mask.flip(1), wanted.flip(1)


@pytest.mark.one_quick
@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("Placed", {}, "the model cannot take 23 positions"),
        ("Unmasked", {"batched": True}, "batched puts the batches of several clients in one"),
        ("Unmasked", {"fed_server": True}, "fed_server has a main server that knows one length"),
        ("Unmasked", {"padding": "epoch"}, "padding: is 'epoch'"),
        ("Unmasked", {"x": [np.arange(MOST) % 9 for _ in TEXTS]}, "they have one length"),
        ("Unmasked", {"collate": lambda *a: (*pad_tokens(*a)[:1], None, pad_tokens(*a)[2])},
         "the collate of the task gives no mask"),
        ("Unmasked", {"collate": _left}, "do not begin at the first position"),
    ],
)  # fmt: skip
def test_what_needs_one_length_is_refused(plan_of, name, change, words):
    own = dict(change)
    collate = own.pop("collate", TASKS["language"].collate)
    task = replace(TASKS["language"], collate=collate)
    x = own.pop("x", TEXTS)
    y = [(one + 3) % WORDS for one in x]
    plan = plan_of(name)
    with pytest.raises(InputError, match=words):
        splitopt.train(
            plan,
            model(name),
            (x, y),
            task=task,
            rounds=1,
            options=Options(**{"padding": "batch", **own}),
        )


def test_a_cluster_needs_targets_that_say_what_is_padding():
    together = SimpleNamespace(serves_together=True)
    with pytest.raises(InputError, match="targets of padding must be -100 there, they are 7"):
        check_shorter(None, together, Positions(3, frozenset(), True, 7))


def test_a_plan_is_validated_as_it_was_made(plan_of):
    with pytest.raises(InputError, match="a plan is of samples that are as long as the longest"):
        splitopt.validate(plan_of("Unmasked"), options=Options(padding="batch"))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fx", "export"])
def test_parts_of_a_language_model_take_any_length(method):
    """Tables of positions are as long as what crosses, at every cut there is."""
    torch.manual_seed(0)
    whole = GPT(MOST, WORDS, width=WIDTH, heads=2, layers=1)
    example = torch.arange(2 * MOST).reshape(2, MOST) % WORDS
    split = find_cuts(whole, example, method=method, shorter=example[:, :-1])
    assert split.cuts == find_cuts(whole, example, method=method).cuts
    assert split.cuts[0] == "tokens"
    for cut in split.cuts:
        for length in (1, 7, MOST):
            given, value = example[:, :length], example[:, :length]
            for part in split.segments([cut]):
                value = part(value)
            assert torch.allclose(value, whole(given), atol=1e-6), (cut, length)


@pytest.mark.slow  # a process for each party
@pytest.mark.parametrize("name", ["Reader", "Unmasked", "TwoWays", "FlatWays", "Flat"])
@pytest.mark.parametrize("codec", ["none", "int8", "topk:0.25"])
def test_over_connections(plan_of, tmp_path, name, codec):
    """Bit for bit as in one process, and the bytes on the wire are those that it counts."""
    from splitopt.training.wire.launch import run_wire

    (tmp_path / "net.py").write_text(SOURCE)
    given = {"model": f"{tmp_path}/net.py:{name}", "data": (TEXTS, NEXT), "task": "language"}
    given["options"] = Options(padding="data" if name == "Flat" else "batch", codec=codec)
    plan = plan_of(name, 2 if name.endswith("Ways") else 1)
    one = splitopt.train(plan, rounds=1, **given)
    wired = run_wire(plan, rounds=1, time_scale=1e-3, any_speed=True, **given)
    assert wired.history == one.history
    sent = one.history.rows[-1].traffic_bytes
    assert wired.sent_bytes["smashed"] == sent["smashed"]
    assert wired.sent_bytes["gradient"] == sent["gradient"]


@pytest.mark.slow  # a process for each party
@pytest.mark.parametrize("name", ["Unmasked", "TwoWays"])
@pytest.mark.parametrize("codec", ["none", "int8"])
def test_along_a_chain_of_nodes(tmp_path, codec, name):
    """An owner's batches of different lengths through two nodes and back, with real bytes."""
    from splitopt.training.wire.launch import run_wire

    (tmp_path / "net.py").write_text(SOURCE)
    example = data_of().train_inputs[:2].arranged(model(name))
    example = example if isinstance(example, torch.Tensor) else example.arguments
    found = trace(model(name), example, name="net", keep_all=True, most_tensors=2)
    found.profile.save(tmp_path / "n.json")
    device = {"compute": "2 kFLOP/s", "samples": 12, "batch_size": ROWS}
    document = {
        "format": "splitopt-scenario",
        "version": 1,
        "model": {"file": str(tmp_path / "n.json")},
        "devices": [{"name": name, **device} for name in "ab"],
        "links": {"downlink": "4 Mbit/s", "uplink": "4 Mbit/s", "nodes": "4 Mbit/s"},
        "nodes": [{"name": name, "compute": "1 MFLOP/s"} for name in ("one", "two")],
        "pipeline": {"use_all_nodes": True},
        "training": {"epochs": 1, "rounds": 1},
    }
    plan = splitopt.plan(Scenario.from_dict(document))
    given = {"model": f"{tmp_path}/net.py:{name}", "data": (TEXTS, NEXT), "task": "language"}
    given["options"] = Options(padding="batch", codec=codec)
    one = splitopt.train(plan, rounds=1, **given)
    wired = run_wire(plan, rounds=1, time_scale=1e-3, any_speed=True, **given)
    assert wired.history == one.history
    sent = one.history.rows[-1].traffic_bytes
    assert wired.sent_bytes["activations"] == sent["smashed"]
    whole = splitopt.train(plan, rounds=1, **given | {"options": Options(codec=codec)})
    assert 0 < sent["smashed"] < whole.history.rows[-1].traffic_bytes["smashed"]
