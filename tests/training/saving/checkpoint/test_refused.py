"""Checkpoints of another run, cut short or changed: refused in one sentence."""

from __future__ import annotations

import json

import pytest
from torch import nn

import splitopt
from splitopt import InputError
from splitopt.plans import digest
from splitopt.training.options import Options
from splitopt.training.saving import checkpoint
from splitopt.training.schemes import TrainingError
from tests.training.saving.checkpoint.cases import assert_same, model, train

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

pytestmark = pytest.mark.train


def rewrite(path, change):
    """Change the JSON and give it a digest that fits, as somebody who means harm would."""
    document = json.loads(path.read_text())
    change(document)
    del document["digest"]
    document["digest"] = digest(document)
    path.write_text(json.dumps(document))


def test_what_was_cut_short_or_changed_is_refused(folder):
    """One sentence that names the file."""
    place, meta, tensors = folder()
    content = tensors.read_bytes()
    tensors.write_bytes(content[:-10])
    with pytest.raises(InputError, match=r"state-\w+.safetensors: is cut short by 10 B"):
        checkpoint.load(place)
    tensors.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match="was changed or damaged"):
        checkpoint.load(place)
    tensors.unlink()
    with pytest.raises(InputError, match=r"there is no such file; .*checkpoint.json needs it"):
        checkpoint.load(place)
    text = meta.read_text()
    meta.write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match="is not JSON"):
        checkpoint.load(place)
    meta.write_text(text.replace('"loss": 0.5', '"loss": 0.1'))
    with pytest.raises(InputError, match="does not match its digest"):
        checkpoint.load(place)
    meta.unlink()
    with pytest.raises(InputError, match="there is no checkpoint"):
        checkpoint.load(place)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(version=2), "reads version 1"),
        (lambda d: d["history"]["rounds"][0].update(loss=None), "loss: is None"),
        (lambda d: d["history"]["rounds"][0].update(round=3), "it must be 1"),
        (
            lambda d: d["history"]["rounds"][0].update(phases_s={"upload": "x"}),
            "phases_s.upload: is 'x'",
        ),
        (lambda d: d["history"].update(origin=3), "origin: is 3; it must be an object"),
        (lambda d: d["history"]["rounds"][0].pop("loss"), "loss: this field is missing"),
        (lambda d: d.update(history=[]), r"history: is \[\]; it must be an object"),
        (lambda d: d.update(tensors={}), "tensors.file: this field is missing"),
        (
            lambda d: d["tensors"].update(bytes="many"),
            "tensors.bytes: is 'many'; it must be a whole",
        ),
        (lambda d: d["tensors"].update(file="../../etc/passwd"), "passwd: there is no such file"),
    ],
)
def test_content_that_no_run_writes_is_refused(folder, change, words):
    """Also with a digest that fits."""
    place, meta, _ = folder()
    rewrite(meta, change)
    with pytest.raises(InputError, match=words):
        checkpoint.load(place)


@pytest.mark.slow
def test_another_run_is_named_by_its_first_difference(plan_of, tmp_path):
    """Another seed, option, scheme, data, partition or plan does not go on."""
    plan, place = plan_of("digits-clusters"), tmp_path / "state"
    train(plan, 1, checkpoint=place)
    for words, changed in (
        ("seed is 0 there and 1 here", {"seed": 1}),
        ("options.learning_rate is 0.02 there", {"options": Options(learning_rate=0.3)}),
        ("scheme is clustered there and vanilla", {"scheme": "vanilla"}),
        ("partition is iid there and classes:3", {"partition": "classes:3"}),
    ):
        with pytest.raises(InputError, match=f"is of another run: {words}"):
            train(plan, 2, checkpoint=place, resume=True, **changed)
    with pytest.raises(InputError, match="another run: plan is"):
        train(plan_of("digits-varying"), 2, checkpoint=place, resume=True)
    with pytest.raises(InputError, match="another run: model is"):
        train_other(plan, place)


def train_other(plan, place):
    """Go on with a network of one more class."""
    other = model()
    other.fc = nn.Linear(128, 11)
    splitopt.train(
        plan,
        other,
        match="names",
        rounds=2,
        options=Options(learning_rate=0.02, momentum=0.9, optimizer_state="keep"),
        checkpoint=place,
        resume=True,
    )


@pytest.mark.slow
def test_tensors_that_do_not_fit_are_refused(plan_of, tmp_path):
    """With every digest right, a shape that is not the model's is still seen."""
    plan, place = plan_of("digits-clusters"), tmp_path / "state"
    train(plan, 1, checkpoint=place)
    found = checkpoint.load(place)
    for name, value in (
        ("model.fc.weight", torch.zeros(2, 2)),
        ("copy.0.moments.fc.weight:momentum_buffer", torch.zeros(1, 9)),
        ("copy.0.moments.nothing:momentum_buffer", torch.zeros(1)),
        ("more", torch.zeros(1)),
    ):
        state = {**found.state, name: value}
        checkpoint.save(place, state, found.identity, found.history)
        with pytest.raises(InputError, match="does not fit this model"):
            train(plan, 2, checkpoint=place, resume=True)


@pytest.mark.slow
def test_what_is_not_finite_leaves_the_last_good_round(plan_of, tmp_path):
    """The checkpoint is that of the round before, whose history the error has."""
    plan, place = plan_of("digits-clusters"), tmp_path / "state"
    options = Options(learning_rate=0.02, momentum=0.9, optimizer_state="keep")
    broken = model()

    def spoil(row, rounds):
        if row.round == 2:
            with torch.no_grad():
                scheme_model[0].fc.weight.fill_(float("nan"))

    from splitopt.training.job import TrainingJob
    from splitopt.training.preparing.prepare import prepare
    from splitopt.training.rounds.loop import run_rounds
    from splitopt.training.schedule import Schedule

    prepared = prepare(TrainingJob(plan, broken, options=options, match="names"))
    scheme_model = [prepared.scheme.model]
    with pytest.raises(TrainingError, match=r"round 3: the loss of client \S+ is nan") as caught:
        run_rounds(prepared, Schedule(5, checkpoint=place), callback=spoil)
    assert len(caught.value.history) == 2
    assert checkpoint.load(place, prepared.identity).rounds == 2
    assert_same(train(plan, 3, checkpoint=place, resume=True), train(plan, 3))
