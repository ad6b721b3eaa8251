"""Secure aggregation: what it does not go together with, in one sentence and exit code 2."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("cryptography", reason="needs the extra 'tls'")

import splitopt  # noqa: E402
from splitopt.errors import InputError  # noqa: E402
from splitopt.scenario import Scenario  # noqa: E402
from splitopt.secure_sum import keys  # noqa: E402
from splitopt.training.job import TrainingJob  # noqa: E402
from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.masked import planned_sum, with_longer_uploads  # noqa: E402
from splitopt.training.preparing.prepare import prepare  # noqa: E402
from splitopt.training.wire.crew import Crew  # noqa: E402
from splitopt.training.wire.job import check_job  # noqa: E402
from splitopt.training.wire.launch import run_wire  # noqa: E402

pytestmark = pytest.mark.train

SECURE = Options(secure_aggregation=True)


@pytest.fixture(scope="module")
def plans():
    """Plans of four devices, by scheme; of two in ``few``, and with cuts of their own."""
    found, document = {}, Scenario.load("digits-splitfed").to_dict()
    for name in ("splitfed_v1", "splitfed_v2", "federated", "vanilla"):
        found[name] = splitopt.plan(Scenario.from_dict(document), scheme=name)
    found["own cuts"] = splitopt.plan(Scenario.from_dict(document), solver="equal_share")
    few = {**document, "devices": [d | {"count": 1} for d in document["devices"][:2]]}
    found["few"] = splitopt.plan(Scenario.from_dict(few), scheme="splitfed_v1")
    return found


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"threshold": 3}, "threshold: is for secure_aggregation"),
        ({"secure_aggregation": True, "threshold": 1}, "threshold: is 1, .* whole number >= 2"),
        ({"secure_aggregation": True, "threshold": 2.5}, "threshold: is 2.5"),
        ({"secure_aggregation": "yes"}, "secure_aggregation: is 'yes'"),
        ({"secure_aggregation": True, "optimizer_state": "keep"}, "optimizer_state: is 'keep'"),
        ({"secure_aggregation": True, "optimizer_state": "average"}, "optimizer_state"),
        ({"secure_aggregation": True, "batch_norm": "local"}, "batch_norm: is 'local'"),
        ({"secure_aggregation": True, "batched": True}, "batched: is for training in one"),
        ({"secure_aggregation": True, "as_published": True}, "as_published: is for"),
    ],
)
def test_options_that_contradict_each_other(given, words):
    """Each names the field and the mend."""
    with pytest.raises(InputError, match=words) as found:
        Options(**given)
    assert found.value.exit_code == 2


@pytest.mark.parametrize(
    ("plan", "options", "words"),
    [
        ("vanilla", SECURE, "not for vanilla"),
        ("few", SECURE, "at least 3 clients in a round, and there are 2: in a sum of two"),
        ("splitfed_v1", replace(SECURE, threshold=5), "threshold: is 5, and 4 clients take part"),
        ("splitfed_v1", replace(SECURE, client_fraction=0.5), "at least 3 clients .* are 2"),
        (
            "splitfed_v1",
            replace(SECURE, client_fraction=0.75, threshold=4),
            "threshold: is 4, and 3 clients",
        ),
    ],
)
def test_plans_that_it_does_not_serve(plans, plan, options, words):
    """Before any process is started."""
    with pytest.raises(InputError, match=words) as found:
        run_wire(plans[plan], options=options)
    assert found.value.exit_code == 2


def test_cuts_of_their_own_are_refused(plans):
    """A layer that one device alone has would be no sum."""
    assert len(set(plans["own cuts"].decision["cut"])) > 1
    with pytest.raises(InputError, match="secure_aggregation: needs one cut that all"):
        run_wire(plans["own cuts"], options=SECURE)


def test_in_one_process_there_is_nothing_to_mask(plans):
    """It asks for --wire."""
    with pytest.raises(InputError, match=r"secure_aggregation: .* add --wire"):
        splitopt.train(plans["splitfed_v1"], options=SECURE)


def test_a_missing_package_names_the_extra(plans, monkeypatch):
    """Before anything else is done."""
    monkeypatch.setattr(keys.importlib.util, "find_spec", lambda name: None)
    job = TrainingJob(plans["splitfed_v1"], options=SECURE)
    with pytest.raises(InputError, match=r"secure_aggregation: needs .*splitopt\[tls\]"):
        check_job(job)


def test_two_sides_that_disagree_are_refused_by_name(plans):
    """Rank 0 says which option differs, also where only the threshold does."""
    plan = plans["splitfed_v1"]
    own = prepare(TrainingJob(plan, options=SECURE)).agreement
    for options, words in (
        (Options(), r"options\.secure_aggregation: is nothing for rank 1 .* and True for rank 0"),
        (replace(SECURE, threshold=3), r"options\.threshold: is 3 for rank 1"),
    ):
        theirs = prepare(TrainingJob(plan, options=options)).agreement
        crew = object.__new__(Crew)
        crew.names, crew.agreement, crew._judge = ("fast-1",), own, None
        why = crew._refusal("hello", {"rank": 1, "agreement": theirs})
        assert re.search(words, why), why


@pytest.mark.one_quick
@pytest.mark.parametrize("name", ["splitfed_v1", "splitfed_v2", "federated"])
def test_predicted_rounds_have_the_masked_bytes(plans, name):
    """Uploads of models take 8 bytes for each number; all else is as planned."""
    plan = plans[name]
    plain = prepare(TrainingJob(plan)).program
    masked = prepare(TrainingJob(plan, options=SECURE)).program
    part = prepare(TrainingJob(plan)).scheme.copies()[-1]
    numbers = sum(v.numel() for v in part.parts[0].module.state_dict().values())
    assert masked.masked == numbers
    assert planned_sum(masked, 4).masked == 4 * 8 * numbers
    assert masked.upload_factor == 2.0  # float32, and this network has no statistics
    before, after = plain.replay.timeline, masked.replay.timeline
    up = before.phases.index("model upload")
    rows = before.phase == up
    lasting = [(t.end_s - t.start_s) for t in (before, after)]
    assert lasting[1][rows] == pytest.approx(2 * lasting[0][rows])
    assert (before.start_s[~rows] == after.start_s[~rows]).all()
    assert after.makespan_s > before.makespan_s
    again = with_longer_uploads(before, 1.0)
    assert (again.end_s == before.end_s).all()
    if name == "splitfed_v2":  # one after the other on one uplink
        order = after.start_s[rows].argsort()
        begin, end = after.start_s[rows][order], after.end_s[rows][order]
        assert (begin[1:] >= end[:-1] - 1e-9).all()
