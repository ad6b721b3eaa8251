"""Drawn samples: common random numbers, scaling, files, and what is refused."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from splitopt import CutUnderUncertainty, InputError, load_problem


def data(**changes):
    """Give the data of a small drawn problem: 4 devices, 2 cuts."""
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
