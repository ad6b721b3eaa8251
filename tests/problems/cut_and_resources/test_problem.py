"""`CutAndResources`: scoring, checking, reading and writing."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from splitopt import CutAndResources, InputError, load_problem
from splitopt.problems.cut_and_resources import CutAndResourcesDecision


@pytest.fixture
def hand_made():
    """Return a problem of two devices and two cuts with numbers that can be worked in the head."""
    return CutAndResources(
        download_s=np.array([[4.0, 1.0], [1.0, 0.0]]),
        upload_s=np.array([[1.0, 1.0], [9.0, 0.0]]),
        server_s=np.array([[2.0, 0.0], [2.0, 0.0]]),
        device_s=np.array([[1.0, 8.0], [3.0, 20.0]]),
        allowed=np.array([[True, True], [True, False]]),
    )


def decision(cut, down, up, server):
    return CutAndResourcesDecision(*(np.array(part) for part in (cut, down, up, server)))


def test_evaluate_by_hand(hand_made):
    """Device 0: 4/.5 + 1/.25 + 2/.5 + 1 = 17; device 1: 1/.5 + 9/.75 + 2/.5 + 3 = 21."""
    choice = decision([1, 1], [0.5, 0.5], [0.25, 0.75], [0.5, 0.5])
    assert hand_made.latencies(choice) == pytest.approx([17.0, 21.0])
    assert hand_made.evaluate(choice) == pytest.approx(38.0)
    assert hand_made.with_objective("makespan").evaluate(choice) == pytest.approx(21.0)
    assert hand_made.violations(choice) == {}


def test_complete_by_hand(hand_made):
    """Shares follow the square roots: (2+1)^2 + (1+3)^2 + 2 (sqrt 2)^2... + 4 = 37."""
    best = hand_made.complete([1, 1])
    assert best.download_share == pytest.approx([2 / 3, 1 / 3])
    assert best.upload_share == pytest.approx([1 / 4, 3 / 4])
    assert best.server_share == pytest.approx([1 / 2, 1 / 2])
    assert hand_made.evaluate(best) == pytest.approx(9 + 16 + 8 + 4)


def test_no_share_is_needed_where_nothing_is_sent(hand_made):
    """A device that needs nothing from a resource is fine with a share of zero."""
    free = decision([2, 2], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0])
    assert hand_made.latencies(free) == pytest.approx([10.0, 20.0])


@pytest.mark.parametrize(
    ("choice", "violated"),
    [
        (([1, 1], [0.7, 0.7], [0.5, 0.5], [0.5, 0.5]), {"download_share": 0.4}),
        (([1, 2], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]), {"cut_not_allowed": 1.0}),
        (([1, 3], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]), {"cut_outside_model": 1.0}),
        (([1, 1], [0.5, 0.5], [1.0, 0.0], [0.5, 0.5]), {"device_without_a_needed_share": 1.0}),
        (
            ([1, 1], [1.5, -0.5], [0.5, 0.5], [0.5, 0.5]),
            {"download_share_negative": 0.5, "device_without_a_needed_share": 1.0},
        ),
        (
            ([1, 1], [0.5, 0.5], [float("nan"), 0.5], [0.5, 0.5]),
            {"upload_share": float("inf"), "device_without_a_needed_share": 1.0},
        ),
    ],
)
def test_violations_by_constraint(hand_made, choice, violated):
    """Every broken constraint is named with its amount, and no other."""
    assert hand_made.violations(decision(*choice)) == pytest.approx(violated)


def test_rounding_is_not_a_violation(hand_made):
    """An excess of 1e-10 over a budget is within the tolerance of 1e-9."""
    near = decision([1, 1], [0.5, 0.5 + 1e-10], [0.5, 0.5], [0.5, 0.5])
    assert hand_made.violations(near) == {}


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_save_and_load(tmp_path, random_problem, suffix):
    """Both file formats give the same problem back, bit by bit."""
    problem = random_problem(3, masked=True, objective="makespan")
    path = tmp_path / f"instance{suffix}"
    problem.save(path)
    again = load_problem(path)
    assert again.objective == "makespan"
    for name, value in problem.data().items():
        assert np.array_equal(again.data()[name], value), name


def test_known_instance_loads_with_its_note(tmp_path, recovered_instance):
    """`note` and `expected` are allowed at the top; the expected optimum evaluates as said."""
    path = tmp_path / "known.json"
    path.write_text(json.dumps(recovered_instance))
    problem = load_problem(path)
    for objective, known in recovered_instance["expected"].items():
        asked = problem.with_objective(objective)
        value = asked.evaluate(asked.complete(known["cut"]))
        assert value == pytest.approx(known["objective"], rel=1e-12)


def edit(document, path, value):
    result = copy.deepcopy(document)
    place = result
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return result


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("version",), 2, "version is 2"),
        (("format",), "x", "format is 'x'"),
        (("problem",), "tsp", "problem is 'tsp'"),
        (("problem",), [], "problem is"),
        (("objective",), "median", "objective is 'median'"),
        (("objective",), ..., "'objective' is missing"),
        (("data",), ..., "'data' is missing"),
        (("data",), [], "data: must be an object"),
        (("extra",), 1, "'extra' is unknown"),
        (("data", "extra"), 1, "'extra' is unknown"),
        (("data", "device_s"), ..., "'device_s' is missing"),
        (("data", "device_s"), 5, "data.device_s: must be a list"),
        (("data", "device_s"), [], "data.device_s: is 0"),
        (("data", "device_s"), [[]], "data.device_s: is 1 x 0"),
        (("data", "device_s", 3), [1.0], "data.device_s: must be a table.*row 3 has 1"),
        (("data", "device_s", 3, 2), -1.0, r"data.device_s\[3\]\[2\]: is -1"),
        (("data", "device_s", 3, 2), "1", r"data.device_s\[3\]\[2\]"),
        (("data", "device_s", 3, 2), None, r"data.device_s\[3\]\[2\]"),
        (("data", "device_s", 3, 2), True, "data.device_s: mixes"),
        (("data", "device_s", 3, 2), 10**400, "the number '100.*beyond all floating-point"),
        (("data", "device_s", 3, 2), [1.0], "data.device_s"),
        (("data", "allowed", 3, 2), 1, "data.allowed: mixes"),
        (("data", "allowed"), [[2] * 10] * 10, "data.allowed: must hold only true and false"),
        (("data", "weights"), [1.0], "data.weights: is 1, it must be 10"),
    ],
)
def test_bad_instances_are_one_sentence(tmp_path, recovered_instance, path, value, words):
    """Whatever is wrong in an instance file is named, on one line."""
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(edit(recovered_instance, path, value)))
    with pytest.raises(InputError, match=words) as caught:
        load_problem(file)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_numpy_archives_hold_no_objects(tmp_path):
    """A pickle inside an archive is refused, not run; garbage is refused as well."""
    path = tmp_path / "evil.npz"
    np.savez(path, device_s=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"device_s.*only plain numbers are read"):
        load_problem(path)
    path.write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(InputError, match=r"is not a whole \.npz file"):
        load_problem(path)
    with pytest.raises(InputError, match="no such file"):
        load_problem(tmp_path / "none.npz")


def test_infeasibility_names_the_devices(random_problem):
    """Devices without an allowed cut are counted and named."""
    problem = random_problem(devices=3)
    tables = problem.data()
    tables["allowed"] = tables["allowed"].copy()
    tables["allowed"][1] = False
    assert problem.infeasibility() is None
    assert "1 of 3 devices" in CutAndResources(**tables).infeasibility()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("cut", [1, 2, 5, 1], r"decision.cut\[2\]: is 5"),
        ("cut", [1, 2, 0, 1], r"decision.cut\[2\]: is 0"),
        ("cut", [1, 2, 1.5, 1], r"decision.cut\[2\]: is 1.5"),
        ("cut", [1, 2], "decision.cut: has 2 entries, it needs 4"),
        ("upload_share", [0.1] * 3, "decision.upload_share: is 3"),
        ("upload_share", [0.1, 0.1, 0.1, -0.1], r"upload_share\[3\]: is -0.1"),
        ("colour", [1], "'colour' is unknown"),
    ],
)
def test_bad_decisions_are_refused(random_problem, field, value, words):
    """A decision that does not fit the problem is named entry by entry."""
    problem = random_problem()
    document = problem.complete([1, 2, 3, 4]).to_dict()
    assert problem.decode(document).to_dict() == document
    with pytest.raises(InputError, match=words):
        problem.decode({**document, field: value})


def test_arrays_are_copied_and_frozen():
    """Changing the caller's arrays does not change the problem, whose own are read-only."""
    table = np.ones((2, 2))
    problem = CutAndResources(table, table, table, table, table > 0)
    table[0, 0] = 5.0
    assert problem.device_s[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        problem.device_s[0, 0] = 2.0
