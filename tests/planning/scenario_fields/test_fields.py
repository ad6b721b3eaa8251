"""Every field of a scenario changes the plan, or is named as not used, or is refused."""

from __future__ import annotations

import re
import typing
from dataclasses import replace

import numpy as np
import pytest
from pydantic import BaseModel

from splitopt import InfeasibleError, InputError, Scenario, load_profile, plan
from splitopt.planning.fields import stated_fields, unused_note
from tests.planning.scenario_fields.changes import CHANGES
from tests.planning.scenario_fields.documents import CELLS, KINDS, MODEL, changed, document

SLOW = pytest.mark.slow

LABELS = {"name", "note"}
"""Words for people."""

ELSEWHERE = {"guesses", "data.source", "data.partition", "data.task"}
"""Which numbers are guesses is said of them, and changes none; data count for training alone."""


def fields(part=Scenario, place=""):
    """Walk the schema: every leaf field, with [] for entries of lists."""
    for name, field in part.model_fields.items():
        inner, listed = _model_in(field.annotation)
        path = f"{place}{name}" + ("[]" if listed else "")
        if inner is None:
            yield path
        else:
            yield from fields(inner, f"{path}.")


def _model_in(annotation):
    """Return the part that an annotation holds, and whether in a tuple."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for argument in typing.get_args(annotation):
        inner, listed = _model_in(argument)
        if inner is not None:
            return inner, listed or typing.get_origin(annotation) is tuple
    return None, False


@pytest.fixture(autouse=True)
def leaky(monkeypatch):
    """Provide the shipped model with a leakage, so that a limit is no mistake."""
    load = Scenario.load_model

    def with_leakage(self):
        profile = load(self)
        if profile.name != MODEL:
            return profile
        return replace(profile, leakage=np.linspace(0.8, 0.0, 10))

    monkeypatch.setattr(Scenario, "load_model", with_leakage)


def answer(kind, given):
    """Return what a plan decides and predicts, and its notes."""
    made = plan(Scenario.from_dict(given), problem=kind, time_limit_s=10)
    return (made.decision, made.prediction, made.result["outcome"]), made.notes


def named(field, notes):
    """Report whether a note says that a field, or a whole section with it, is not used."""
    listed = [
        entry
        for note in notes
        if note.startswith("not used here: ")
        for entry in note.removeprefix("not used here: ").split(", ")
    ]
    return any(re.match(rf"{re.escape(entry)}([.\[]|$)", field) for entry in listed)


@pytest.mark.every_case
@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in (KINDS[0], "generator_pairing") else pytest.param(kind, marks=SLOW)
        for kind in (*KINDS, "generator_pairing", "time_to_accuracy")
    ],
)
def test_every_field_counts_or_is_named_or_refused(kind):
    """No field is accepted and then without an effect that is not said; none is named wrongly."""
    base, _ = answer(kind, document(kind))
    silent, wrong, seen = [], [], 0
    for field, changes in CHANGES.items():
        try:
            found, notes = answer(kind, changed(kind, changes))
        except (InputError, InfeasibleError):
            continue
        seen += 1
        if found == base and not named(field, notes):
            silent.append(field)
        if found != base and len(changes) == 1 and named(field, notes):
            wrong.append(field)
    assert silent == []
    assert wrong == []
    assert seen > 60  # most changes make a scenario that is planned


def test_a_new_field_cannot_be_forgotten():
    """The table has every field of the schema but labels, and no other."""
    every = set(fields())
    assert len(every) > 100
    labels = {field for field in every if field.split(".")[-1] in LABELS}
    plans = ("accelerators.", "replication.")  # of their own
    own = {field for field in every if field.startswith(plans)}
    assert set(CHANGES) == every - labels - ELSEWHERE - own


@pytest.mark.slow
def test_own_links_count_where_links_are_used():
    """Devices of a cluster share subcarriers, whatever the links are; elsewhere it matters."""
    for kind in KINDS:
        cell = kind in CELLS
        base, _ = answer(kind, document(kind))
        found, notes = answer(kind, changed(kind, {"links.shared": False}))
        assert named("links.shared", notes) == cell
        assert (found == base) == cell


def test_powers_without_energy_are_named():
    """compute_power alone gives no energy; with transmit_power it does and is used."""
    alone = changed("cut_and_resources", {f"devices.{i}.compute_power": "3 W" for i in (0, 1)})
    (_, prediction, _), notes = answer("cut_and_resources", alone)
    assert "energy_j" not in prediction
    assert named("devices[].compute_power", notes)
    both = {f"devices.{i}.{name}_power": "3 W" for i in (0, 1) for name in ("compute", "transmit")}
    (_, prediction, _), notes = answer("cut_and_resources", changed("cut_and_resources", both))
    assert "energy_j" in prediction
    assert not named("devices[].compute_power", notes)
    assert not named("devices[].transmit_power", notes)


def test_notes_by_hand():
    """Only what is stated is named, and sections as a whole; defaults are not."""
    given = Scenario.from_dict(document("cut_and_resources"))
    made = plan(given, problem="cut_and_resources")
    (note,) = [note for note in made.notes if note.startswith("not used here")]
    assert note == (
        "not used here: links.nodes.model, links.nodes.rate, nodes, pipeline, tradeoff, spectrum, "
        "clusters, distributions"
    )
    assert "training.epochs" in stated_fields(given)
    plain = document("cut_and_resources")
    for section in ("nodes", "pipeline", "tradeoff", "spectrum", "clusters", "distributions"):
        del plain[section]
    del plain["links"]["nodes"]
    bare = Scenario.from_dict(plain)
    assert not any("not used" in note for note in plan(bare).notes)
    assert unused_note(bare, stated_fields(bare)) == []
    assert load_profile(MODEL).leakage is None
