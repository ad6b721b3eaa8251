"""`GeneratorPairing` against values worked out by hand, and its wrong input."""

import json

import numpy as np
import pytest

from splitopt import GeneratorPairing, InputError, load_problem, solve
from splitopt.problems.digest import instance_digest

CLASSES = [["a", "b"], ["b", "c"], ["c"]]
COST = [[0, 2, 3], [4, 0, 5], [6, 7, 0]]


def pairing(**fields):
    return GeneratorPairing(COST, **({"classes": CLASSES} | fields))


def test_the_cost_is_that_of_the_transfers():
    """Device 0 lacks c, device 1 a, device 2 a and b: 2 + 4 + 6 by hand."""
    problem = pairing()
    decision = problem.decode({"senders": [[1], [0], [0]]})
    assert problem.evaluate(decision) == 12
    assert problem.violations(decision) == {}
    assert problem.bound() <= 12
    assert solve(problem).objective == 12


def test_what_a_decision_lacks_is_counted():
    """Nothing sent lacks four classes; an own generator covers nothing."""
    problem = pairing(caps=[1, 1, 1])
    assert problem.violations(problem.decode({"senders": [[], [], []]})) == {"missing_sources": 4}
    wrong = problem.decode({"senders": [[0], [0], [0]]})
    assert problem.violations(wrong) == {
        "own_generators": 1,
        "missing_sources": 1,
        "sends_over_caps": 2,
    }


def test_completing_adds_what_is_missing():
    """What is given stays, the rest is covered."""
    problem = pairing()
    found = problem.complete([[2], [], []])
    assert [row.tolist() for row in found.senders] == [[2], [0], [0]]
    assert problem.sources_of(found) == [{"c": [2]}, {"a": [0]}, {"a": [0], "b": [0]}]


@pytest.mark.slow
def test_quality_is_charged_by_the_best_sender_of_each_class():
    """Device 0 takes c from device 1 (0.5) or 2 (0.9), at 10 for a quality that is lost whole."""
    quality = [[1, 1, 0], [0, 1, 0.5], [0, 0, 0.9]]
    problem = pairing(quality=quality, quality_weight=10)
    base = 4 + 6  # device 1 and 2 take what they lack from device 0, without any loss
    for senders, own in (([1], 2 + 5), ([2], 3 + 1), ([1, 2], 5 + 1)):
        decision = problem.decode({"senders": [senders, [0], [0]]})
        assert problem.evaluate(decision) == pytest.approx(base + own)
    assert solve(problem).objective == pytest.approx(base + 4)


def test_few_samples_do_not_count_as_having_a_class():
    """With 3 samples where 5 are asked for, device 0 lacks b too; it still has a generator."""
    counts = [[9, 3, 0], [0, 9, 9], [0, 0, 9]]
    problem = GeneratorPairing(COST, counts=counts, labels=["a", "b", "c"], least_samples=5)
    assert problem.present.tolist() == [
        [True, False, False],
        [False, True, True],
        [False] * 2 + [True],
    ]
    assert problem.covers[0].tolist() == [True, True, False]
    assert solve(problem).objective == 2 + 4 + 6


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_instances_come_back_the_same(tmp_path, suffix):
    """Every optional field, in both forms, with the same digest."""
    problem = pairing(
        quality=np.full((3, 3), 0.5),
        quality_weight=2.0,
        caps=[2, 1, 0],
        generates=[["a"], ["b", "c"], []],
        sources=[1, 1, 2],
        redundant=True,
        least_quality=0.25,
        names=["north", "south", "far"],
    )
    path = tmp_path / f"one{suffix}"
    problem.save(path)
    again = load_problem(path)
    assert instance_digest(again) == instance_digest(problem)
    assert again.generates.tolist() == problem.generates.tolist()
    assert again.need.tolist() == problem.need.tolist()
    assert again.called == ("north", "south", "far")


def test_the_plain_form_of_the_design_is_read(tmp_path):
    """Classes and costs alone: the labels are the union."""
    path = tmp_path / "plain.json"
    data = {"classes": [[0, 1], [2, 3]], "cost": [[1, 1], [1, 1]]}
    head = {"format": "splitopt-instance", "version": 1, "problem": "generator_pairing"}
    path.write_text(json.dumps({**head, "objective": "cost", "data": data}))
    problem = load_problem(path)
    assert problem.labels == (0, 1, 2, 3)
    assert solve(problem).objective == 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"classes": [["a"], ["b"], []]}, "classes[2]: is empty"),
        ({"classes": [["a"], ["b"]]}, "has 2 devices, but cost has 3"),
        ({"classes": None}, "is missing"),
        ({"labels": ["a", "b"]}, "classes[1][1]: is 'c', which is not among the labels"),
        ({"generates": [["a"], ["d"], []]}, "generates[1][0]: is 'd'"),
        ({"generates": [["a"], []]}, "generates: has 2 entries"),
        ({"classes": [["a", "a"], ["b"], ["c"]]}, "twice"),
        ({"classes": [["a", 1], ["b"], ["c"]]}, "mixes"),
        ({"classes": [[True], ["b"], ["c"]]}, "label"),
        ({"classes": "abc"}, "must be a list"),
        ({"caps": [1, 2]}, "caps"),
        ({"caps": -1}, "caps"),
        ({"caps": [1, 1, 0.5]}, "caps[2]"),
        ({"sources": 0}, "sources"),
        ({"sources": [1, 1]}, "sources"),
        ({"redundant": 1}, "redundant"),
        ({"least_samples": 2}, "needs 'counts'"),
        ({"least_quality": 0.5}, "needs 'quality'"),
        ({"quality_weight": 1.0}, "needs 'quality'"),
        ({"quality": np.full((3, 3), 1.5)}, "quality[0][0]: is 1.5"),
        ({"quality": np.zeros((2, 3))}, "quality"),
        ({"counts": [[1]]}, "both given"),
        ({"names": ["north"]}, "names: must be a list of 3 texts"),
        ({"names": ["north", "south", 3]}, "names[2]: is 3, it must be a text"),
        ({"names": ["north", "far", "north"]}, "names[2]: is 'north', as names[0]"),
        ({"names": ["north", "far", "\x1b[1m"]}, "names[2]"),
    ],
)
def test_wrong_input_is_named(fields, words):
    """One sentence with the field."""
    with pytest.raises(InputError) as caught:
        pairing(**fields)
    assert words in str(caught.value)


def test_messages_name_devices():
    """By their names where they have some, else by their numbers."""
    named = pairing(names=["north", "south", "far"], sources=2)
    assert "south needs 2 senders" in named.infeasibility()
    assert "device 1 needs 2 senders" in pairing(sources=2).infeasibility()
    alone = GeneratorPairing(np.ones((3, 3)), classes=[["a"], ["b"], ["c"]], names=["x", "y", "z"])
    message = solve(alone, "algorithm2").message
    assert "no answer for x: no single" in message
    assert "nor for y, z;" in message
    capped = GeneratorPairing(
        np.ones((4, 4)),
        classes=[["a"], ["b"], ["a", "b"], ["a", "b"]],
        caps=[0, 0, 1, 0],
        names=["w", "x", "y", "z"],
    )
    assert "of w (1 short)" in solve(capped).message or "of x (1 short)" in solve(capped).message


def test_a_table_of_costs_is_square():
    with pytest.raises(InputError, match="2 x 3"):
        GeneratorPairing(np.ones((2, 3)), classes=[["a"], ["b"]])


@pytest.mark.parametrize(
    ("senders", "words"),
    [([[1], [0]], "3 lists"), ([[3], [], []], "senders"), ([[1, 1], [], []], "twice")],
)
def test_wrong_decisions_are_named(senders, words):
    with pytest.raises(InputError, match=words):
        pairing().decode({"senders": senders})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"labels": ["a", "b", "c", "d"]}, "class 'd': no device has a sample of it"),
        ({"generates": [["b"], ["c"], []]}, "class 'a': no device has a generator for it"),
        ({"sources": 2}, "class 'a': device 1 needs 2 senders, and 1 of the other devices"),
        ({"caps": [1, 1, 1]}, "class 'a': 2 devices lack it and need 2 sends together"),
        (
            {"quality": np.full((3, 3), 0.4), "least_quality": 0.5},
            "class 'a': no generator is of the least quality 0.5, the best has 0.4",
        ),
    ],
)
def test_a_class_that_cannot_be_covered_is_named(fields, words):
    """The outcome is infeasible, with the class, for every kind of solver."""
    for solver in ("set_cover", "greedy", "algorithm2", "enumerate", "highs"):
        result = solve(pairing(**fields), solver)
        assert result.outcome == "infeasible"
        assert words in result.message
