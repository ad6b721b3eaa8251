"""Drawn samples: common random numbers, scaling, files, and what is refused."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from splitopt import CutUnderUncertainty, InputError, load_problem
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision
from splitopt.problems.cut_under_uncertainty.blocks import fixed_plan


def data(**changes):
    """Return the data of a small drawn problem: 4 devices, 2 cuts."""
    rng = np.random.default_rng(0)
    nominal = {
        name: rng.uniform(1, 2, (2, 4)).tolist()
        for name in (
            "broadcast_s",
            "forward_s",
            "backward_s",
            "upload_smashed_s",
            "download_gradient_s",
            "upload_model_s",
        )
    }
    shared = {"local_epochs": 2, "subcarriers": 6, "cluster_sizes": [2, 2]}
    generator = {
        "samples": 5,
        "seed": 3,
        "nominal": {**nominal, "server_s_per_device": [0.1, 0.2], **shared},
        "nominal_compute": [1.0, 2.0, 3.0, 4.0],
        "compute": {"kind": "normal", "mean": [1.0, 2.0, 3.0, 4.0], "std": 0.3, "low": 0.2},
    }
    generator.update(changes)
    return {"cuts": ["a", "b"], "generator": generator}


def build(**changes):
    """Build the problem of `data`."""
    return CutUnderUncertainty.from_data(data(**changes), "expected", "file")


def test_all_cuts_of_a_sample_see_the_same_draw():
    """Seconds of work scale by nominal over drawn speed, alike for all cuts; radio stays."""
    problem = build()
    drawn = problem.source.draw(2)["compute"]
    for cut in range(2):
        nominal = np.array(data()["generator"]["nominal"]["forward_s"][cut])
        block = problem.block(2, cut)
        np.testing.assert_allclose(block.forward_s, nominal * np.arange(1.0, 5.0) / drawn)
        assert (
            block.upload_model_s.tolist() == (data()["generator"]["nominal"]["upload_model_s"][cut])
        )


def test_samples_do_not_depend_on_each_other():
    """More samples keep those that were there; other streams and seeds give others."""
    few, many = build(samples=3), build(samples=30)
    for j in range(3):
        np.testing.assert_array_equal(few.block(j, 1).forward_s, many.block(j, 1).forward_s)
    assert not np.array_equal(few.block(0, 0).forward_s, few.block(0, 0, stream=1).forward_s)
    assert not np.array_equal(few.block(0, 0).forward_s, build(seed=4).block(0, 0).forward_s)
    assert few.source.endless


def test_the_expected_round_has_mean_speeds():
    """It is the mean of the speeds, not of the seconds."""
    problem = build(compute={"kind": "uniform", "low": 1.0, "high": 3.0})
    nominal = np.array(data()["generator"]["nominal"]["forward_s"][0])
    expected = problem.expected_block(0)
    np.testing.assert_allclose(expected.forward_s, nominal * np.arange(1.0, 5.0) / 2.0)


def test_a_trace_is_drawn_round_by_round():
    """What was measured together is drawn together."""
    table = np.arange(1.0, 13.0).reshape(3, 4)
    problem = build(compute=None, trace={"compute": table.tolist()}, samples=50)
    rows = {tuple(problem.source.draw(j)["compute"]) for j in range(50)}
    assert rows == {tuple(row) for row in table}


def test_the_samples_of_a_trace_repeat_none_before_all_were_there():
    """As many samples as rounds are the trace itself, in some order."""
    table = np.arange(1.0, 21.0).reshape(5, 4)
    problem = build(compute=None, trace={"compute": table.tolist()}, samples=10)
    first = [tuple(problem.source.draw(j)["compute"]) for j in range(5)]
    assert sorted(first) == [tuple(row) for row in table]
    assert [tuple(problem.source.draw(j)["compute"]) for j in range(5, 10)] == first
    np.testing.assert_array_equal(problem.source.finite(1)["compute"], table)


def test_few_combinations_are_all_listed():
    """Two values of each of four devices: 16 rounds, each once; a limit, and what is endless."""
    problem = build(compute={"kind": "empirical", "values": [1.0, 2.0]})
    found = problem.source.finite(16)["compute"]
    assert len({tuple(row) for row in found}) == 16 == len(found)
    assert set(found.ravel()) == {1.0, 2.0}
    assert problem.source.finite(15) is None
    mixed = [{"kind": "constant", "value": 1.0}] * 3 + [{"kind": "empirical", "values": [1, 3]}]
    found = build(compute=mixed).source.finite(2)["compute"]
    np.testing.assert_array_equal(found, [[1, 1, 1, 1], [1, 1, 1, 3]])
    assert build().source.finite(10**9) is None


def test_many_rounds_are_each_the_round_of_their_draw():
    """Blocks with the axes round and cut; the ends are shorter and longer than all of them."""
    problem = build()
    drawn = problem.source.draw_many(3, 50)
    blocks = problem.source.at(**drawn)
    one = problem.source.block(1, compute=drawn["compute"][7])
    np.testing.assert_array_equal(blocks[7, 1].single().terms, one.terms)
    again = problem.source.draw_many(3, 50)["compute"]
    np.testing.assert_array_equal(again, drawn["compute"])
    assert not np.array_equal(problem.source.draw_many(4, 50)["compute"], drawn["compute"])
    best, worst = problem.source.ends()
    assert (best.bounds() <= blocks.bounds().min(axis=0)).all()
    assert (worst.bounds() >= blocks.bounds().max(axis=0)).all()
    some = problem.source.of_cut(1).at(**drawn)
    np.testing.assert_array_equal(some.bounds()[:, 0], blocks.bounds()[:, 1])


def test_a_fixed_plan_takes_what_the_problem_says():
    """Many rounds and cuts at once, uneven clusters in any order, against each problem's own."""
    problem = CutUnderUncertainty.from_data(
        {
            **data(),
            "generator": {
                **data()["generator"],
                "nominal": {**data()["generator"]["nominal"], "cluster_sizes": [1, 3]},
            },
        },
        "expected",
    )
    rng = np.random.default_rng(5)
    decisions = [
        ClusterAndSpectrumDecision((order[:1], order[1:]), rng.integers(1, 3, 4))
        for order in (rng.permutation(4) for _ in range(2))
    ]
    drawn = problem.source.draw_many(0, 6)
    found = problem.source.at(**drawn).seconds(fixed_plan(decisions))
    for row in range(6):
        for cut in range(2):
            block = problem.source.block(cut, compute=drawn["compute"][row])
            assert found[row, cut] == pytest.approx(block.evaluate(decisions[cut]), rel=1e-13)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_files_read_back(tmp_path, suffix):
    """The generator travels, not its samples."""
    problem = build()
    path = tmp_path / f"instance{suffix}"
    problem.save(path)
    copied = load_problem(path)
    decision = problem.complete(1)
    assert copied.evaluate(decision) == problem.evaluate(decision)
    assert json.dumps(copied.to_document()) == json.dumps(problem.to_document())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"compute": {"kind": "normal", "mean": 1.0, "std": 0.3}},
            "generator.compute: a normal that reaches 0 .* set its truncation 'low'",
        ),
        ({"compute": {"kind": "uniform", "low": 0, "high": 1}}, "set its truncation 'low'"),
        ({"compute": {"kind": "normal", "mean": [1, 2], "std": 0.1, "low": 0.1}}, "of 2 devices"),
        ({"compute": None}, "nothing varies"),
        ({"nominal_compute": None}, "compute: needs 'nominal_compute'"),
        ({"nominal_compute": [1, 2, 3, 0]}, "a nominal speed is above 0"),
        ({"samples": 0}, "generator.samples: is 0, it must be a whole number >= 1"),
        ({"fading": "fog"}, "generator.fading: is 'fog'"),
        ({"trace": {"compute": [[1, 1, 1, 1]]}}, "'trace' are both given"),
        ({"compute": None, "trace": {"compute": [[1, 1, 1]]}}, "trace.compute: is 1 x 3"),
        ({"compute": None, "trace": {"compute": [[1, 0, 1, 1]]}}, "latency is infinite"),
        ({"compute": None, "trace": {"compute": [[1, None, 1, 1]]}}, r"trace.compute\[0\]\[1\]"),
        ({"compute": None, "trace": {"snr_db": [[1, 1, 1, 1]]}}, "needs 'nominal_snr_db'"),
        ({"compute": None, "trace": {}}, "trace: is empty"),
        ({"wind": 3}, "the field 'wind' is unknown"),
    ],
)
def test_what_cannot_be_used_is_refused(changes, words):
    """One sentence with field, value and mend."""
    with pytest.raises(InputError, match=words):
        build(**copy.deepcopy(changes))
