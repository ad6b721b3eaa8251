"""A plan file shows what its decision gives, whatever its prediction says."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from splitopt import InputError, Plan, Scenario, plan, simulate
from splitopt.planning import open_plan
from splitopt.planning.promises import SAME
from splitopt.plans import digest

CHOSEN = {"bottleneck", "binding", "held_up_by", "worth", "bound_devices"}
"""Rounding may choose another of several equal things: what is shown is computed anyway."""
SEARCHED = {"forced", "worth"}


@pytest.fixture(
    scope="module",
    params=["cut_and_resources", "pipeline_partition", "cluster_and_spectrum", "uncertainty"],
)
def made(request) -> dict[str, Any]:
    """Make a small plan of each problem, as a file holds it."""
    if request.param == "cut_and_resources":
        scenario = Scenario.generate(seed=4, devices=3)
    elif request.param == "pipeline_partition":
        scenario = Scenario.generate(seed=4, devices=2, nodes=3)
    else:
        cell: dict[str, Any] = {
            "format": "splitopt-scenario",
            "version": 1,
            "model": "cpsl-lenet-paper",
            "devices": [
                {
                    "name": "cam",
                    "count": 3,
                    "compute": "0.5 GMAC/s",
                    "samples": 160,
                    "batch_size": 16,
                    "snr_db": 17,
                }
            ],
            "links": {"downlink": {}, "uplink": {}},
            "servers": [{"name": "edge", "compute": "100 GMAC/s"}],
            "spectrum": {"subcarriers": 6, "bandwidth": "1 MHz"},
            "clusters": {"size": 3, "cut": 2},
        }
        if request.param == "uncertainty":
            cell["clusters"]["cut"] = "auto"
            cell["distributions"] = {"samples": 3, "snr": {"kind": "normal", "std_db": 2}}
        scenario = Scenario.from_dict(cell)
    document = plan(scenario).to_dict()
    assert document["decision"] is not None
    return json.loads(json.dumps(document))


def forged(document: dict[str, Any]) -> Plan:
    """Return a plan whose hashes are those of its parts."""
    for name in document["hashes"]:
        document["hashes"][name] = digest(document[name])
    return Plan.from_dict(document)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every leaf and of every part; of a list its first entry stands for all."""
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value[:1]):
            yield from leaves(item, (*path, key))


def changed(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a copy with another value at a place of its prediction."""
    found = copy.deepcopy(document)
    inside = found["prediction"]
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value(inside[path[-1]]) if callable(value) else value
    return found


def test_an_honest_plan_is_opened(made):
    """The prediction that is shown is that of the file, to rounding."""
    opened = open_plan(forged(copy.deepcopy(made)))
    assert opened.plan.prediction is not None
    assert json.loads(json.dumps(opened.plan.prediction)) == made["prediction"]


def test_a_prediction_is_a_value_and_plain_data(made):
    """The value writes the file's text, fields in the same order, and is read from it."""
    opened = open_plan(forged(copy.deepcopy(made)))
    assert opened.prediction is not None
    assert json.dumps(opened.prediction.to_dict()) == json.dumps(made["prediction"])
    read = type(opened.prediction).from_dict(made["prediction"], "p.json")
    assert read == opened.prediction
    assert read.round_s == made["prediction"]["round_s"]
    with pytest.raises(ValueError, match="frozen"):
        read.round_s = 0.0


@pytest.mark.parametrize("name", ["round_s", "unheard_of"])
def test_a_prediction_of_another_form_is_not_read(made, name):
    """A field that is missing or unknown is named."""
    opened = open_plan(forged(copy.deepcopy(made)))
    data = {key: value for key, value in made["prediction"].items() if key != name}
    data |= {} if name == "round_s" else {name: 1.0}
    with pytest.raises(InputError, match=f"p.json.*{name}"):
        type(opened.prediction).from_dict(data, "p.json")


@pytest.mark.slow
def test_every_number_of_a_prediction_is_computed_again(made):
    """A number that is 1 % larger is found, wherever it stands."""
    checked = 0
    for path in leaves(made["prediction"]):
        value = made["prediction"]
        for key in path:
            value = value[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or value == 0:
            continue
        if SEARCHED & set(path) or path[-1] == "slowest_devices":
            continue
        if {"confidence", "cvar_level"} & set(path):
            continue
        with pytest.raises(InputError, match="but the decision gives") as caught:
            open_plan(forged(changed(made, path, value * 1.01)), "p.json")
        assert str(caught.value).startswith(f"p.json: prediction.{path[0]}")
        checked += 1
    assert checked >= 5


@pytest.mark.slow
def test_a_prediction_of_any_form_is_one_sentence(made):
    """Whatever stands at any place: refused as unreadable, or not used."""
    values = itertools.cycle([None, [], {}, "x", True, 10**400, [[]], -1.0])
    for path in leaves(made["prediction"]):
        if not path or len(path) > 4:
            continue
        document = changed(made, path, next(values))
        try:
            opened = open_plan(forged(document))
        except InputError:
            continue
        assert CHOSEN & set(path) or SEARCHED & set(path) or document == made
        assert opened.plan.prediction is not None


@pytest.mark.slow
def test_a_field_that_is_missing_is_named(made):
    """So is one that is not known."""
    for path in leaves(made["prediction"]):
        if not path or isinstance(path[-1], int) or path[0] in SEARCHED:
            continue
        document = copy.deepcopy(made)
        inside = document["prediction"]
        for key in path[:-1]:
            inside = inside[key]
        del inside[path[-1]]
        if CHOSEN & set(path[:-1]):
            continue
        with pytest.raises(InputError, match=f"{path[-1]}.*this field is missing"):
            open_plan(forged(document))
    document = copy.deepcopy(made)
    document["prediction"]["profit"] = 1
    with pytest.raises(InputError, match=r"prediction.profit: this field is unknown"):
        open_plan(forged(document))


def test_another_version_may_know_other_fields(made):
    """What both know must still be the same."""
    document = copy.deepcopy(made)
    document["result"]["versions"]["splitopt"] = "0.0.1"
    del document["prediction"]["training_s"]
    document["prediction"]["profit"] = 1
    opened = open_plan(forged(document))
    assert opened.plan.prediction is not None
    assert opened.plan.prediction["training_s"] == made["prediction"]["training_s"]
    document["prediction"]["round_s"] *= 0.5
    with pytest.raises(InputError, match="round_s"):
        open_plan(forged(document))


def test_other_rounding_is_no_lie(made):
    """Another machine may compute the last digits otherwise."""
    document = changed(made, ("round_s",), lambda value: value * (1 + SAME / 10))
    opened = open_plan(forged(document))
    assert opened.plan.prediction is not None
    assert opened.plan.prediction["round_s"] == made["prediction"]["round_s"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bound": 1e30}, "result.bound: is 1e.30, but the decision gives"),
        ({"objective": None}, "result.objective is None, but"),
        ({"objective": 1.0}, "result.objective is 1.0, but"),
        ({"gap": 0.5}, "result.gap: is 0.5, but objective and bound give"),
        ({"outcome": "infeasible"}, "result.outcome: is 'infeasible', but there is a decision"),
        ({"outcome": "optimal", "bound": None, "gap": None}, "is 'optimal', but the gap is inf"),
    ],
)
def test_a_result_that_contradicts_itself_is_refused(made, change, words):
    """What a result says of its decision is held against the decision."""
    document = copy.deepcopy(made)
    document["result"] |= change
    with pytest.raises(InputError, match=words):
        open_plan(forged(document))


def test_simulation_refuses_a_lie_as_well(made):
    """Whoever uses a plan opens it in the same way."""
    with pytest.raises(InputError, match="training_s: is"):
        simulate(forged(changed(made, ("training_s",), 0.02)))


def test_what_nests_deeply_is_refused_or_computed_anew(made):
    """What was chosen is compared by its texts, at whatever depth they are."""
    if not made["prediction"].get("worth"):
        pytest.skip("this plan says nothing of what resources are worth")
    deep: Any = []
    for _ in range(700):
        deep = [deep]
    plan_with_it = forged(changed(made, ("worth",), [deep]))
    with suppress(InputError):
        found = open_plan(plan_with_it).prediction.to_dict()["worth"]
        assert json.loads(json.dumps(found)) == made["prediction"]["worth"]
