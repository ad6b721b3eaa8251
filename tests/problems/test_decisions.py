"""Decisions of every problem: what does not fit is refused, with where and how to mend it."""

import array

import numpy as np
import pytest

from splitopt import (
    ClusterAndSpectrum,
    CommonCut,
    CutAndResources,
    CutUnderUncertainty,
    InputError,
    PipelinePartition,
    solve,
)
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision
from splitopt.problems.cut_and_resources.decision import CutAndResourcesDecision
from splitopt.problems.cut_under_uncertainty import CutUnderUncertaintyDecision
from splitopt.problems.pipeline_partition import PipelinePartitionDecision

TABLE = [[1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 2.0, 1.0], [5.0, 1.0, 1.0, 1.0]]
CUT, CLUSTERS = CutAndResources(TABLE, TABLE, TABLE, TABLE), [[0, 2], [1]]
TIMES = ([1.0, 2.0, 3.0],) * 6
ROUND = ClusterAndSpectrum(*TIMES, 0.5, 2, 5, [2, 1])
PIPE = PipelinePartition([[1.0] * 4, [2.0] * 4], [[1.0] * 4, [2.0] * 4], [1.0] * 4, [9.0, 9.0], 1)
UNSURE = CutUnderUncertainty.from_scenarios(["a", "b"], [[ROUND, ROUND]] * 3)
ONE = CommonCut(*[TABLE] * 7, samples=[4] * 3, batch_size=[2] * 3, epochs=1)
PROBLEMS = (CUT, ROUND, PIPE, UNSURE, ONE)
NAN = float("nan")


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        ([0, 1, 2], r"cut\[0\]: is 0; cuts count layers on the device, from 1 to 4"),
        ([1, 2, 5], r"cut\[2\]: is 5; cuts count layers on the device, from 1 to 4"),
        ([1, -1, 2], r"cut\[1\]: is -1"),
        ([1, 2], "cut: has 2 entries, it needs 3"),
        ([], "cut: has 0 entries"),
        ([[1, 2, 3]], "cut: is 1 x 3"),
        ([1, 2, 2.5], r"cut\[2\]: is 2.5"),
        ([1, NAN, 2], r"cut\[1\]: is nan"),
        ([1, 10**400, 2], r"cut\[1\]: is inf"),
        ([True, True, True], "must hold numbers"),
        (["1", "2", "3"], "must hold numbers"),
        ("123", "must be a list, it is str"),
        (2, "must be a list, it is int"),
        (None, "must be a list, it is NoneType"),
        ({1, 2, 3}, "must be a list, it is set"),
    ],
)
def test_cuts_that_do_not_fit_are_refused(cuts, message):
    with pytest.raises(InputError, match=message):
        CUT.complete(cuts)


def test_cuts_are_taken_as_any_row_of_whole_numbers():
    wanted = CUT.complete([1, 2, 4]).to_dict()
    others = (
        np.array([1.0, 2.0, 4.0]),
        (1, 2, 4),
        array.array("i", [1, 2, 4]),
        np.uint8([1, 2, 4]),
    )
    for cuts in others:
        assert CUT.complete(cuts).to_dict() == wanted
    assert CUT.complete(range(1, 4)).to_dict() == CUT.complete([1, 2, 3]).to_dict()


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
@pytest.mark.parametrize("method", ["evaluate", "violations"])
@pytest.mark.parametrize("given", [[1, 2, 3], None, "x", 3, object(), CutAndResources])
def test_what_is_no_decision_is_refused_with_what_is_one(problem, method, given):
    name = problem.decision_class.__name__
    with pytest.raises(InputError, match=f"decision: .*it must be a {name} or its plain data"):
        getattr(problem, method)(given)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_a_result_is_refused_with_the_way_out_and_plain_data_are_taken(problem):
    found = solve(problem, time_limit_s=1)
    with pytest.raises(InputError, match=r"take the \.decision of the result"):
        problem.evaluate(found)
    plain = found.decision.to_dict()
    assert problem.evaluate(plain) == problem.evaluate(found.decision)
    assert problem.violations(plain) == {}
    others = [other for other in PROBLEMS if other is not problem]
    for other in others:
        with pytest.raises(InputError):
            other.evaluate(found.decision)


def test_a_decision_of_another_fleet_or_model_is_no_decision_here():
    share = np.full(3, 0.3)
    for cut in ([0, 1, 2], [1, 2, 5]):
        decision = CutAndResourcesDecision(cut, share, share, share)
        assert CUT.violations(decision) == {"cut_outside_model": 1}
        for act in (CUT.evaluate, CUT.latencies, CUT.phases):
            with pytest.raises(InputError, match=r"decision.cut\[.\]: is .; cuts count layers"):
                act(decision)
    short = CutAndResourcesDecision([1, 2, 3], share, share[:2], share)
    for act in (CUT.evaluate, CUT.violations):
        with pytest.raises(InputError, match=r"decision.upload_share: has 2 entries .* 3 devices"):
            act(short)
    priced = CutAndResources(
        TABLE, TABLE, TABLE, TABLE, objective="energy", device_w=[1.0] * 3, radio_w=[1.0] * 3
    )
    with pytest.raises(InputError, match=r"decision.cut\[0\]: is 0"):
        priced.evaluate(CutAndResourcesDecision([0, 1, 2], share, share, share))


def test_shares_may_be_missing_but_not_words():
    share, odd = np.full(3, 0.3), [NAN, 0.1, 0.1]
    missing = CUT.violations(CutAndResourcesDecision([1, 2, 3], share, odd, share))
    assert missing == {"upload_share": float("inf"), "device_without_a_needed_share": 1}
    for bad in (["a", "b", "c"], None, [None, 1.0, 1.0], [True, False, True]):
        with pytest.raises(InputError, match="server_share"):
            CutAndResourcesDecision([1, 2, 3], share, share, bad)


@pytest.mark.parametrize(
    ("clusters", "message"),
    [
        ([[0, 1], [3]], "must hold each of 0..2 once"),
        ([[0, 1], [-1]], "must hold each of 0..2 once"),
        ([[0, 1.5], [2]], r"clusters\[0\]\[1\]: is 1.5"),
        ([[0, NAN], [2]], r"clusters\[0\]\[1\]: is nan"),
        ([0, 1, 2], r"clusters\[0\]: must be a list"),
        (5, "clusters: is 5, it must be a list of lists"),
        (["01", "2"], r"clusters\[0\]: must be a list"),
    ],
)
def test_clusters_that_do_not_fit_are_refused(clusters, message):
    with pytest.raises(InputError, match=message):
        ROUND.complete(clusters)


@pytest.mark.parametrize(
    ("clusters", "subcarriers", "message"),
    [
        ([[0, 3], [1]], [2, 2, 2], "names device 3; devices have the indices 0 to 2"),
        ([[0, -1], [1]], [2, 2, 2], "names device -1"),
        ([[0, 2], [], [1]], [2, 2, 2], "a cluster without a device"),
        ([], [2, 2, 2], "are empty"),
        ([[0, 2], [1]], [2, 2], "has 2 entries for 3 devices"),
    ],
)
def test_a_round_is_not_evaluated_for_other_devices(clusters, subcarriers, message):
    decision = ClusterAndSpectrumDecision(clusters, subcarriers)
    assert ROUND.violations(decision)
    with pytest.raises(InputError, match=message):
        ROUND.evaluate(decision)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ([0, 0, 1], "has 3 entries, it needs 4"),
        ([0, 0, 1, 2], r"assignment\[3\]: is 2; .* from 0 to 1"),
        ([-1, 0, 1, 1], r"assignment\[0\]: is -1"),
    ],
)
def test_a_chain_of_other_nodes_is_not_evaluated(assignment, message):
    decision = PipelinePartitionDecision(assignment)
    assert PIPE.violations(decision)
    for act in (PIPE.evaluate, PIPE.load, PIPE.latency):
        with pytest.raises(InputError, match=message):
            act(decision)


@pytest.mark.parametrize("odd", [[0.5, 1], [NAN, 1], ["0", "1"], None, "01", [True, False]])
def test_an_assignment_holds_whole_numbers(odd):
    with pytest.raises(InputError, match="assignment"):
        PipelinePartitionDecision(odd)


@pytest.mark.parametrize("boundaries", [[0, 2], [1, 2, 4], [0, 3, 2], [0, 2.5, 4]])
def test_a_chain_has_boundaries_that_rise_from_zero(boundaries):
    with pytest.raises(InputError, match="boundaries"):
        PipelinePartitionDecision.of_chain([0, 1], boundaries)


@pytest.mark.parametrize("cut", [2, -1, 0.5, NAN, "a", None, True])
def test_one_cut_is_named_by_its_index(cut):
    with pytest.raises(InputError, match="cut: is "):
        UNSURE.complete(cut)


def test_a_cut_for_all_rounds_needs_an_answer_for_each():
    answer = ROUND.complete(CLUSTERS)
    with pytest.raises(InputError, match="clusters: has 1 entries, it needs one for each of 3"):
        UNSURE.complete(0, [CLUSTERS])
    few = CutUnderUncertaintyDecision(0, (answer, answer))
    assert UNSURE.violations(few) == {"recourse_of_samples": 1}
    with pytest.raises(InputError, match=r"decision.recourse: has 2 entries"):
        UNSURE.evaluate(few)
    with pytest.raises(InputError, match=r"decision.cut: is 7; .* from 0 to 1"):
        UNSURE.evaluate(CutUnderUncertaintyDecision(7, (answer,) * 3))
    with pytest.raises(InputError, match=r"recourse\[0\]: is 1"):
        CutUnderUncertaintyDecision(0, (1, 2, 3))


def test_tables_are_taken_from_what_numpy_reads():
    torch = pytest.importorskip("torch")
    wanted = solve(CUT).objective
    tensor = torch.tensor(TABLE, dtype=torch.float64)
    assert solve(CutAndResources(tensor, tensor, tensor, tensor)).objective == wanted
    with pytest.raises(InputError, match="download_s: is Tensor, which gives no array"):
        CutAndResources(tensor.clone().requires_grad_(), tensor, tensor, tensor)
    ranges = [range(1, 5), range(2, 6), range(3, 7)]
    rows = [list(row) for row in ranges]
    got = CutAndResources(ranges, ranges, ranges, ranges)
    assert solve(got).objective == solve(CutAndResources(rows, rows, rows, rows)).objective


def test_all_cuts_are_allowed_by_default_and_a_mask_may_be_of_ones_and_zeros():
    assert CUT.allowed.all()
    mask = [[1, 0, 0, 1]] * 3
    masked = CutAndResources(TABLE, TABLE, TABLE, TABLE, mask)
    assert masked.allowed.tolist() == [[True, False, False, True]] * 3
    for bad in ([[1, 0, 0, 2]] * 3, [[1.0, 0.0, 0.0, 1.0]] * 3, [["y"] * 4] * 3):
        with pytest.raises(InputError, match="allowed"):
            CutAndResources(TABLE, TABLE, TABLE, TABLE, bad)
