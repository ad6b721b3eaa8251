"""The general form as data: files, values, models, bounds, and every mistake in one sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest

from splitopt import CutAndResources, solve
from splitopt.errors import InfeasibleError, InputError
from splitopt.problems.cut_and_resources.choice_decision import ChoiceDecision
from splitopt.problems.cut_and_resources.tradeoffs import marginal_values
from splitopt.problems.registry import load_problem, problem_from_document

WORK = np.array(
    [
        [[4.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 9.0], [0.0, 0.0, 0.0, 0.0]],
        [[1.0, 4.0, 0.0, 0.0], [0.0, 0.0, 4.0, 1.0], [0.0, 0.0, 0.0, 0.0]],
    ]
)
OWN = np.array([[1.0, 2.0, 20.0], [3.0, 1.0, 30.0]])
NAMES = ("link a", "computer a", "link b", "computer b")


def problem(objective="sum", **optional):
    """Return two devices between server a, server b and staying alone."""
    return CutAndResources.of_choices(
        WORK, OWN, objective, resources=NAMES, choice_names=("a", "b", "alone"), **optional
    )


def test_values_by_hand():
    """Both at a: (2 + 1)^2 + (1 + 2)^2 + 1 + 3 = 22; apart nothing is shared: 5 + 5 + 1 + 1."""
    asked = problem()
    both, apart = asked.complete_choices([0, 0]), asked.complete_choices([0, 1])
    assert asked.evaluate(both) == pytest.approx(22.0)
    assert asked.evaluate(apart) == pytest.approx(4 + 1 + 1 + 4 + 1 + 1)
    np.testing.assert_allclose(both.share[:, 0], [2 / 3, 1 / 3])
    np.testing.assert_allclose(asked.phases(apart)[0], [4, 1, 0, 0, 1])
    alone = asked.complete_choices([2, 2])
    assert asked.evaluate(alone) == 50.0
    assert (alone.share == 0).all()
    assert problem("makespan").evaluate(apart) == pytest.approx(6.0)


def test_makespan_of_two_servers_is_that_of_each(random_problem):
    """Resources that never meet do not wait for each other: the larger of two makespans."""
    one, other = random_problem(1, 4, 1), random_problem(2, 3, 1)
    work = np.zeros((7, 1, 6))
    work[:4, :, :3], work[4:, :, 3:] = one.work_s, other.work_s
    own = np.concatenate((one.own_s, other.own_s))
    joint = CutAndResources.of_choices(work, own, "makespan")
    parts = [asked.with_objective("makespan") for asked in (one, other)]
    values = [asked.evaluate(asked.complete([1] * asked.devices)) for asked in parts]
    decision = joint.complete_choices([0] * 7)
    assert joint.evaluate(decision) == pytest.approx(max(values), rel=1e-12)
    assert joint.violations(decision) == {}


def test_files_keep_everything(tmp_path):
    """JSON and archives of version 2, with names, masks and budgets; the decision as well."""
    use = np.tile([1.0, 0.0, 0.0], (2, 1))
    asked = problem(
        "makespan",
        allowed=[[True, True, False], [True, True, True]],
        budgets=[{"name": "seats of a", "use": use, "limit": 1}],
    )
    for suffix in ("json", "npz"):
        path = tmp_path / f"instance.{suffix}"
        asked.save(path)
        again = load_problem(path)
        assert again.to_document() == asked.to_document()
        assert again.resources == NAMES
        assert again.choice_names == ("a", "b", "alone")
    document = json.loads((tmp_path / "instance.json").read_text())
    assert document["version"] == 2
    found = solve(asked).decision
    assert found.choice.tolist() == [0, 1]
    assert asked.decode(found.to_dict()).share.tolist() == found.share.tolist()
    assert found.to_dict()["problem"] == "cut_and_resources"


def test_tables_of_cuts_are_a_view(random_problem):
    """work_s and own_s of the tables are what the general form has, and give the same values."""
    cuts = random_problem(3, 4, 3)
    np.testing.assert_array_equal(cuts.work_s[..., 1], cuts.upload_s)
    general = CutAndResources.of_choices(cuts.work_s, cuts.own_s, allowed=cuts.allowed)
    chosen = cuts.allowed.argmax(axis=1)
    one, other = cuts.complete(chosen + 1), general.complete_choices(chosen)
    assert general.evaluate(other) == pytest.approx(cuts.evaluate(one), rel=1e-13)
    np.testing.assert_allclose(one.shares, other.shares)
    assert general.bound() == pytest.approx(cuts.bound())
    assert cuts.to_document()["version"] == 1


@pytest.mark.parametrize("objective", ["sum", "makespan"])
def test_worth_of_each_resource_is_its_derivative(objective):
    """Half a per mille more of a resource, of five, saves what the derivative says."""
    rng = np.random.default_rng(5)
    work, own = rng.uniform(0.5, 3, (4, 2, 5)), rng.uniform(0, 2, (4, 2))
    asked = CutAndResources.of_choices(work, own, objective)
    cuts = np.array([1, 2, 1, 2])
    worth = marginal_values(asked, cuts).resources
    assert worth.shape == (5,)
    for r in range(5):
        ends = []
        for factor in (1 - 5e-4, 1 + 5e-4):
            scaled = work.copy()
            scaled[..., r] /= factor
            other = CutAndResources.of_choices(scaled, own, objective)
            ends.append(other.evaluate(other.complete(cuts)))
        assert (ends[0] - ends[1]) / 1e-3 == pytest.approx(worth[r], rel=1e-5)


@pytest.mark.parametrize("formulation", ["miqp", "misocp"])
def test_models_have_a_resource_each(formulation):
    """The models name the resources; what nobody needs is left out."""
    model = problem().to_scip(formulation)
    model.model.optimize()
    assert problem().evaluate(model.decision()) == pytest.approx(12.0, rel=1e-6)
    named = model.total if formulation == "miqp" else {r for _, r in model.share}
    assert set(named) == set(NAMES)


def test_a_device_that_nothing_serves_is_named():
    """Forbidden choices, and budgets below the least use, with what is missing."""
    stuck = problem(allowed=[[True, True, True], [False, False, False]])
    assert stuck.infeasibility() == (
        "1 of 2 devices have no allowed choice (index 1); allow at least one choice for each"
    )
    assert solve(stuck).outcome == "infeasible"
    with pytest.raises(InfeasibleError):
        stuck.to_scip()
    short = problem(budgets=[{"name": "memory", "use": [[3, 2, 2], [4, 5, 3]], "limit": 4.5}])
    assert short.infeasibility() == (
        "the budget 'memory' is 4.5, and the choices that use least of it take 5, which is 0.5 "
        "more: raise the limit to that"
    )
    assert short.bound() == np.inf


def test_violations_name_the_resource():
    """Shares above one by resource, forbidden choices, and devices that are starved."""
    asked = problem(allowed=[[True, False, True], [True, True, True]])
    taken = ChoiceDecision([1, 0], [[0, 0, 1, 1], [0.5, 0, 0.25, 0.5]])
    assert asked.violations(taken) == {
        "share of link b": 0.25,
        "share of computer b": 0.5,
        "choice_not_allowed": 1.0,
        "device_without_a_needed_share": 1.0,
    }
    assert asked.evaluate(taken) == np.inf


def test_own_objectives_only():
    """Objectives with energy need the energies of all choices."""
    assert problem().askable == ("sum", "makespan")
    with pytest.raises(InputError, match="objective 'energy' needs it"):
        problem("energy")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("work_s", [[[1.0]]], "own_s: is 2 x 3, it must be 1 x 1"),
        ("work_s", (-WORK).tolist(), r"work_s\[0\]\[0\]\[0\]: is -4"),
        ("work_s", [[1.0]], "work_s: is 1 x 1, it must be N >= 1 x N >= 1 x N >= 1"),
        ("own_s", [[1.0, 2.0, 3.0]], "own_s: is 1 x 3, it must be 2 x 3"),
        ("resources", ["a", "b"], "resources: has 2 names, it needs 4, one per resource"),
        ("resources", ["a", "b", "c", "a"], r"resources\[3\]: is 'a', which stands twice"),
        ("resources", ["a", "b", "c", 4], r"resources\[3\]: is 4, it must be a name"),
        ("resources", "abcd", "resources: is 'abcd', it must be a list of names"),
        ("choice_names", ["x"], "choice_names: has 1 names, it needs 3, one per choice"),
        ("allowed", [[1, 1, 2], [1, 1, 1]], "allowed: must hold only true and false"),
        ("budgets", [{"name": "b", "use": [[1, 2, 3]], "limit": 1}], r"budgets\[0\].use: is 1 x 3"),
        ("download_s", [[1.0]], "the field 'download_s' is unknown"),
    ],
)
def test_mistakes_are_one_sentence(field, value, words):
    """Whatever is wrong in an instance is named by field and value, with the mend."""
    spoiled = json.loads(json.dumps(problem().to_document()))
    spoiled["data"][field] = value
    with pytest.raises(InputError, match=words) as caught:
        problem_from_document(spoiled)
    assert "\n" not in str(caught.value)


def test_versions_are_not_mixed(random_problem):
    """Choices are version 2, cuts are version 1, and each says so."""
    for asked, wrong in ((problem(), 1), (random_problem(0, 2, 2), 2)):
        document = asked.to_document() | {"version": wrong}
        with pytest.raises(InputError, match=f"version is {wrong}, and its data are those of"):
            problem_from_document(document)


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ({"choice": [0], "share": [[1, 1, 1, 1]] * 2}, "decision.choice: has 1 entries"),
        ({"choice": [0, 3], "share": [[1, 1, 1, 1]] * 2}, r"choice\[1\]: is 3; .* from 0 to 2"),
        ({"choice": [0, 1], "share": [[1, 1, 1]] * 2}, "decision.share: is 2 x 3"),
        ({"cut": [1, 1], "share": [[1, 1, 1, 1]] * 2}, "the field 'choice' is missing"),
    ],
)
def test_decisions_that_do_not_fit_are_named(decision, words):
    """A decision from outside is read as strictly as an instance."""
    with pytest.raises(InputError, match=words):
        problem().decode(decision)
    with pytest.raises(InputError, match=r"choice\[0\]: is 5"):
        problem().complete_choices([5, 0])
