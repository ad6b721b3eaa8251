"""`CutUnderUncertainty`: scoring, checking, reading and writing."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from splitopt import CutUnderUncertainty, InputError, load_problem
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision
from splitopt.problems.cut_under_uncertainty import CutUnderUncertaintyDecision


def test_the_objective_is_the_mean_or_the_worst(listed):
    """The value is that of the samples' own rounds, put together by hand."""
    problem = listed(samples=5)
    decision = problem.complete(1)
    rounds = [problem.block(j, 1).evaluate(decision.recourse[j]) for j in range(5)]
    assert problem.evaluate(decision) == pytest.approx(np.mean(rounds), rel=1e-15)
    risky = problem.with_objective("cvar")
    assert risky.evaluate(decision) == pytest.approx(max(rounds), rel=1e-15)
    assert problem.violations(decision) == {}
    assert (problem.samples, problem.devices, problem.infeasibility()) == (5, 4, None)


def test_violations_are_those_of_the_samples(listed):
    """Each rule is named with its worst sample."""
    problem = listed(samples=3)
    good = problem.complete(0)
    first = good.recourse[0]
    greedy = ClusterAndSpectrumDecision(first.clusters, first.subcarriers + 3)
    starved = ClusterAndSpectrumDecision(first.clusters, np.array([0, 1, 1, 1]))
    found = problem.violations(CutUnderUncertaintyDecision(0, (greedy, *good.recourse[1:])))
    assert found == {"subcarriers": 6.0}
    bad = CutUnderUncertaintyDecision(0, (starved, *good.recourse[1:]))
    assert problem.violations(bad) == {"device_without_a_subcarrier": 1.0}
    assert problem.evaluate(bad) == np.inf
    assert problem.violations(CutUnderUncertaintyDecision(3, good.recourse)) == {"cut": np.inf}
    short = CutUnderUncertaintyDecision(0, good.recourse[:2])
    assert problem.violations(short) == {"recourse_of_samples": 1.0}


@pytest.mark.parametrize("objective", ["expected", "cvar"])
@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_files_read_back(listed, tmp_path, suffix, objective):
    """Both kinds of file hold the same problem."""
    problem = listed(objective=objective, cvar_level=0.7)
    path = tmp_path / f"instance{suffix}"
    problem.save(path)
    copied = load_problem(path)
    assert isinstance(copied, CutUnderUncertainty)
    assert (copied.cuts, copied.objective, copied.cvar_level) == (problem.cuts, objective, 0.7)
    decision = problem.complete(2)
    assert copied.evaluate(decision) == problem.evaluate(decision)
    assert copied.bound() == problem.bound()
    again = copied.decode(json.loads(json.dumps(decision.to_dict())))
    assert copied.evaluate(again) == problem.evaluate(decision)


def test_json_lists_a_block_for_each_sample_and_cut(listed):
    """The file form is that of `cluster_and_spectrum`, sample by sample and cut by cut."""
    problem = listed(samples=2, cuts=3)
    document = json.loads(json.dumps(problem.to_document()))
    blocks = document["data"]["scenarios"]
    assert [len(row) for row in blocks] == [3, 3]
    assert blocks[1][2]["forward_s"] == problem.block(1, 2).forward_s.tolist()
    assert set(blocks[0][0]) == set(problem.block(0, 0).data())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("scenarios"), "needs either 'scenarios' or 'generator'"),
        (lambda d: d.update(extra=1), "the field 'extra' is unknown"),
        (lambda d: d.update(cuts=[]), "data.cuts: must be a list with a name"),
        (lambda d: d.update(cuts=["a", "a", "b"]), r"data.cuts\[1\]: 'a' stands twice"),
        (lambda d: d.update(cuts=["a", 1, "b"]), r"data.cuts\[1\]: is 1, it must be a name"),
        (lambda d: d.update(cvar_level=1.0), "data.cvar_level: is 1.0, .* below 1"),
        (lambda d: d.update(scenarios=[]), "data.scenarios: is empty"),
        (lambda d: d.update(scenarios=3), "data.scenarios: must be a list"),
        (lambda d: d["scenarios"][1].pop(), r"scenarios\[1\]: has 2 entries, .* each of 3 cuts"),
        (
            lambda d: d["scenarios"][1][2]["forward_s"].__setitem__(0, -1),
            r"scenarios\[1\]\[2\].*forward_s\[0\]: is -1",
        ),
        (
            lambda d: d["scenarios"][1][2].update(subcarriers=9),
            r"scenarios\[1\]\[2\].subcarriers: is 9, it must be 5",
        ),
        (
            lambda d: d["scenarios"][0][1].update(cluster_sizes=[3, 1]),
            r"cluster_sizes: is \[3, 1\], it must be \[2, 2\]",
        ),
        (
            lambda d: d["scenarios"][0][1].update(cluster_sizes=[3, 2]),
            "add up to 5, they must add up to the 4 devices",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(listed, change, words):
    """One sentence with field, value and mend."""
    data = copy.deepcopy(listed().to_document()["data"])
    change(data)
    with pytest.raises(InputError, match=words):
        CutUnderUncertainty.from_data(data, "expected", "file")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(cut=3), "decision.cut: is 3, it must be a whole number from 0 to 2"),
        (lambda d: d.update(cut=True), "decision.cut: is True"),
        (lambda d: d["recourse"].pop(), "recourse: has 3 entries, it needs one for each of 4"),
        (lambda d: d["recourse"][1].pop("clusters"), r"recourse\[1\]: the field 'clusters'"),
    ],
)
def test_decisions_that_cannot_be_read_are_refused(listed, change, words):
    """One sentence with field, value and mend."""
    problem = listed()
    document = problem.complete(0).to_dict()
    change(document)
    with pytest.raises(InputError, match=words):
        problem.decode(document)


def test_too_few_subcarriers_are_infeasible(listed):
    """The message says how many would do."""
    problem = listed(sizes=(3, 3), subcarriers=2)
    assert "needs at least 3 subcarriers" in problem.infeasibility()
    assert problem.bound() == np.inf


def test_stacked_bounds_are_those_of_single_rounds(listed):
    """The bound of a block does not depend on how it is stored."""
    problem = listed(samples=6, sizes=(3, 1), subcarriers=6, epochs=3)
    single = [[problem.block(j, v).bound() for j in range(6)] for v in range(3)]
    np.testing.assert_allclose(problem.bounds(), single, rtol=1e-14)
    assert problem.bound() == pytest.approx(min(np.mean(single, axis=1)), rel=1e-14)
    middle = problem.expected_block(1)
    wanted = np.mean([problem.block(j, 1).upload_model_s for j in range(6)], axis=0)
    np.testing.assert_allclose(middle.upload_model_s, wanted)
