"""`ClusterAndSpectrum`: scoring, checking, reading and writing."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest

from splitopt import ClusterAndSpectrum, InputError, load_problem, solve
from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrumDecision
from splitopt.simulation import simulate_decision


@pytest.fixture
def hand_made():
    """Return a problem of four devices in two clusters, with numbers to work out by head."""
    return ClusterAndSpectrum(
        broadcast_s=np.array([1.0, 1.0, 2.0, 2.0]),
        forward_s=np.array([1.0, 2.0, 1.0, 2.0]),
        backward_s=np.array([2.0, 1.0, 1.0, 3.0]),
        upload_smashed_s=np.array([4.0, 6.0, 2.0, 8.0]),
        download_gradient_s=np.array([2.0, 0.0, 4.0, 4.0]),
        upload_model_s=np.array([6.0, 3.0, 2.0, 0.0]),
        server_s_per_device=0.5,
        local_epochs=3,
        subcarriers=4,
        cluster_sizes=np.array([2, 2]),
    )


def decision(clusters, x):
    return ClusterAndSpectrumDecision(tuple(np.array(c) for c in clusters), np.array(x))


def test_evaluate_by_hand(hand_made):
    """Each phase is its slowest device's, with the server's 1 s in the first two kinds."""
    choice = decision([[0, 1], [2, 3]], [2, 2, 1, 2])
    # S: 1+1+4/2 = 4 and 1+2+6/2 = 6; I: 3+6/2 = 6 and 3+6/2 = 6; E: 2+8/2 = 6 and 1+3/2
    # S: 2+1+2 = 5 and 2+2+8/2 = 8; I: 2+6 = 8 and 5+12/2 = 11; E: 1+6 = 7 and 3+4/2 = 5
    assert hand_made.cluster_phases(choice) == pytest.approx(np.array([[7, 7, 6], [9, 12, 7]]))
    assert hand_made.cluster_seconds(choice) == pytest.approx([7 + 2 * 7 + 6, 9 + 2 * 12 + 7])
    assert hand_made.evaluate(choice) == pytest.approx(67.0)
    assert hand_made.violations(choice) == {}


def test_gradients_of_tied_weights_go_up_in_inner_phases(hand_made, tmp_path):
    """They are there twice in each cluster of three local epochs, and the best plan counts them."""
    tied = replace(hand_made, upload_tied_s=np.array([2.0, 0.0, 4.0, 0.0]))
    choice = decision([[0, 1], [2, 3]], [2, 2, 1, 2])
    # I: 3+8/2 = 7 and 3+6/2 = 6; 2+(4+2+4)/1 = 12 and 5+12/2 = 11
    assert tied.cluster_phases(choice) == pytest.approx(np.array([[7, 8, 6], [9, 13, 7]]))
    assert tied.evaluate(choice) == pytest.approx(67.0 + 2 * (1 + 1))
    tied.save(tmp_path / "tied.json")
    again = load_problem(tmp_path / "tied.json")
    assert again.evaluate(choice) == tied.evaluate(choice)
    assert "upload_tied_s" not in hand_made.data()
    best = solve(tied, "enumerate", max_partitions=1000)
    every = [
        tied.evaluate(decision(clusters, [a, 4 - a, b, 4 - b]))
        for clusters in ([[0, 1], [2, 3]],)
        for a in (1, 2, 3)
        for b in (1, 2, 3)
    ]
    assert best.objective <= min(every) + 1e-9
    assert simulate_decision(tied, best.decision).simulated_s == pytest.approx(best.objective)


@pytest.mark.parametrize(
    ("choice", "violated"),
    [
        (([[0, 1], [2, 3]], [3, 2, 1, 4]), {"subcarriers": 1.0}),
        (([[0, 1], [2, 3]], [0, 1, 1, 1]), {"device_without_a_subcarrier": 1.0}),
        (([[0, 1, 2], [3]], [1, 1, 1, 1]), {"cluster_sizes": 4.0}),
        (([[0, 1, 2, 3]], [1, 1, 1, 1]), {"cluster_sizes": 3.0}),
        (
            ([[0, 1], [1, 3]], [1, 1, 1, 1]),
            {"device_in_no_cluster": 1.0, "device_in_several_clusters": 1.0},
        ),
        (([[0, 1], [2, 4]], [1, 1, 1, 1]), {"device_index_outside": np.inf}),
        (([[0, 1], [2, 3]], [1, 1, 1]), {"subcarriers_of_devices": 1.0}),
    ],
)
def test_violations_by_constraint(hand_made, choice, violated):
    """Every broken constraint is named with its amount, and no other."""
    assert hand_made.violations(decision(*choice)) == violated


def test_a_device_without_a_subcarrier_never_ends(hand_made):
    """Zero subcarriers make the round infinite, without a warning."""
    assert hand_made.evaluate(decision([[0, 1], [2, 3]], [0, 1, 1, 1])) == np.inf


def test_known_instance(tmp_path, five_identical):
    """CPSL's identical devices: the expected optimum, found and proved by the cheap bound."""
    path = tmp_path / "known.json"
    path.write_text(json.dumps(five_identical))
    problem = load_problem(path)
    result = solve(problem)
    assert result.outcome == "optimal"
    assert result.objective == pytest.approx(five_identical["expected"]["objective"], rel=1e-12)
    assert result.decision.subcarriers.tolist() == five_identical["expected"]["subcarriers"]
    assert problem.bound() == pytest.approx(result.objective, rel=1e-12)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_save_and_load(tmp_path, random_clusters, suffix):
    """Both file formats give the same problem back, bit by bit."""
    problem = random_clusters(3, sizes=(3, 2), local_epochs=2)
    path = tmp_path / f"instance{suffix}"
    problem.save(path)
    again = load_problem(path)
    for name, value in problem.data().items():
        assert np.array_equal(again.data()[name], value), name
    clusters = [[0, 4, 2], [1, 3]]
    assert again.evaluate(again.complete(clusters)) == problem.evaluate(problem.complete(clusters))


def test_a_decision_survives_its_file(random_clusters):
    """`to_dict` and `decode` are inverse."""
    problem = random_clusters(1, sizes=(3, 2))
    first = problem.complete([[4, 0, 2], [3, 1]])
    again = problem.decode(json.loads(json.dumps(first.to_dict())))
    assert again.to_dict() == first.to_dict()
    assert problem.evaluate(again) == problem.evaluate(first)


def edit(document, path, value):
    result = copy.deepcopy(document)
    place = result
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return result


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["data", "cluster_sizes"], [4], "data.cluster_sizes: add up to 4, .* the 5 devices"),
        (["data", "cluster_sizes"], [5, 0], r"cluster_sizes\[1\]: is 0, a cluster has at least 1"),
        (["data", "cluster_sizes"], [2.5, 2.5], r"cluster_sizes\[0\]: is 2.5, it must be a whole"),
        (["data", "subcarriers"], 0, "subcarriers: is 0, it must be a whole number >= 1"),
        (["data", "subcarriers"], "30", "subcarriers: is '30', it must be a whole number"),
        (["data", "local_epochs"], 1.5, "local_epochs: is 1.5, it must be a whole number"),
        (["data", "server_s_per_device"], -1.0, "server_s_per_device: is -1, it must be finite"),
        (["data", "forward_s", 2], -3.0, r"forward_s\[2\]: is -3.0, it must be finite and >= 0"),
        (["data", "backward_s"], [1.0, 2.0], "backward_s: is 2, it must be 5 entries"),
        (["data", "upload_model_s"], None, "the field 'upload_model_s' is missing"),
        (["data", "colour"], "red", "the field 'colour' is unknown"),
        (["objective"], "sum", "objective is 'sum', it must be 'round'"),
    ],
)
def test_wrong_input_names_field_value_and_mend(tmp_path, five_identical, path, value, words):
    """An instance that is not what it claims to be is refused in one sentence."""
    place = tmp_path / "wrong.json"
    place.write_text(json.dumps(edit(five_identical, path, value)))
    with pytest.raises(InputError, match=words):
        load_problem(place)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"clusters": [[0, 1]]}, "the field 'subcarriers' is missing"),
        ({"clusters": [], "subcarriers": [1] * 5}, "clusters: must be a list of lists"),
        ({"clusters": [[0, 7]], "subcarriers": [1] * 5}, r"clusters\[0\]\[1\]: is 7, it must be"),
        ({"clusters": [[0, 1.5]], "subcarriers": [1] * 5}, r"clusters\[0\]\[1\]: is 1.5"),
        ({"clusters": [[0, 1]], "subcarriers": [1] * 4}, "subcarriers: is 4, it must be 5"),
    ],
)
def test_wrong_decisions_are_refused(random_clusters, document, words):
    """A decision that does not fit is refused by its entry."""
    with pytest.raises(InputError, match=words):
        random_clusters(sizes=(5,)).decode(document)


def test_too_few_subcarriers_is_infeasible(random_clusters):
    """Fewer subcarriers than devices in a cluster: no answer, and what would do."""
    problem = random_clusters(sizes=(2, 5, 3), subcarriers=4)
    result = solve(problem)
    assert result.outcome == "infeasible"
    assert "provide 5 subcarriers, or make clusters of at most 4 devices" in result.message
    assert problem.bound() == np.inf


def test_complete_wants_every_device_once(random_clusters):
    """Clusters that leave a device out, or name one twice, are no input."""
    problem = random_clusters(sizes=(2, 2))
    for clusters in ([[0, 1], [2]], [[0, 1], [1, 2]], []):
        with pytest.raises(InputError, match=r"must hold each of 0\.\.3 once"):
            problem.complete(clusters)
