"""One common cut: brute force through the event simulation, cases by hand, and bad input."""

import numpy as np
import pytest

from splitopt import InputError, Scenario, plan, solve
from splitopt.bench.instances.families.common_cut import fleet, masked
from splitopt.bench.instances.library.common_cut import two_devices
from splitopt.planning.planner import open_plan
from splitopt.problems.common_cut import SCHEMES, CommonCut
from splitopt.simulation import simulate_decision

ASKED = [(scheme, "client") for scheme in SCHEMES] + [("splitfed_v2", "batch")]


def asked(problem, scheme, order="client"):
    return CommonCut(**problem.data() | {"server_order": order}, objective=scheme)


def by_events(problem):
    """Return the shortest simulated round over all cuts within the limits, and its cut."""
    everyone = problem.allowed.all(axis=0)
    last = problem.layers
    if problem.objective == "federated":
        cuts = [last]
    else:
        served = (
            problem.copies_allowed if problem.objective == "splitfed_v1" else problem.shared_allowed
        )
        cuts = [cut for cut in range(1, last) if everyone[cut - 1] and served[cut - 1]]
    return min((simulate_decision(problem, problem.complete(c)).simulated_s, c) for c in cuts)


@pytest.mark.parametrize(("scheme", "order"), ASKED)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_the_best_cut_is_that_of_the_event_simulation(scheme, order, shared, seed):
    """The closed forms are nowhere in the brute force: every batch is an event."""
    draw = masked if seed % 2 else fleet
    given = draw(seed, devices=2 + seed, layers=7).data() | {"shared_links": shared}
    problem = asked(CommonCut(**given), scheme, order)
    found = solve(problem)
    seconds, cut = by_events(problem)
    assert found.outcome == "optimal"
    assert found.gap == 0.0
    assert found.objective == pytest.approx(seconds, rel=1e-9)
    assert found.decision.cut == cut
    assert problem.bound() <= found.objective * (1 + 1e-9)


def test_two_devices_by_hand():
    """12 s each at cut 1 and 10 s at cut 2; with links of their own."""
    problem = two_devices()
    assert solve(asked(problem, "vanilla")).objective == 20.0
    assert solve(asked(problem, "vanilla")).decision.cut == 2
    # One after the other at the server, with cut 2: both are there at 1 + 2; the second sends when
    # the server is through with the first one, at 5, is served at 7, has its gradient at 8, is done
    # at 11 and sends its model until 12. Batch by batch its smashed data are there at 4 already,
    # so that it is served at 6: a second less.
    assert solve(asked(problem, "splitfed_v2")).objective == 12.0
    assert solve(asked(problem, "splitfed_v2", "batch")).objective == 11.0
    # Whole models: 1 down, 14 to compute, 1 up, side by side.
    assert solve(asked(problem, "federated")).objective == pytest.approx(16.0)
    # Side by side half of the server is enough for each: 10 s and 1 s more.
    assert solve(asked(problem, "splitfed_v1")).objective == pytest.approx(11.0)


def test_scheme_and_order_change_the_question_and_not_the_data():
    problem = fleet(0, devices=3, layers=4)
    for scheme, order in ASKED:
        other = asked(problem, scheme, order)
        assert other.objective == scheme
        assert other.to_document()["data"] == problem.to_document()["data"] | {
            "server_order": order
        }
        with pytest.raises(InputError, match=r"for a problem of 2 devices"):
            two_devices().evaluate(other.complete(4))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_plan_from_a_scenario_keeps_the_limits(scheme):
    """Leakage, the devices' memory and that of the server leave out cuts, by the tables alone."""
    base = Scenario.load("digits-splitfed")
    profile = base.load_model()
    free = plan(base, scheme=scheme)
    assert free.result["gap"] == 0.0
    assert free.prediction["scheme"] == scheme
    need = profile.device_memory_fixed_bytes + 16 * profile.device_memory_per_sample_bytes
    small = [d.model_copy(update={"memory": float(need[0])}) for d in base.devices]
    tight = plan(base.model_copy(update={"devices": tuple(small)}), scheme=scheme)
    if scheme == "federated":
        assert "whole model does not fit into the memory of fast" in tight.result["message"]
        return
    fits = [cut for cut in range(1, profile.layer_count) if need[cut - 1] <= need[0]]
    assert [row["cut"] for row in tight.prediction["cuts"]] == fits
    copies = len(base.fleet()) if scheme == "splitfed_v1" else 1
    memory = free.prediction["server_memory_bytes"]
    server = base.servers[0].model_copy(update={"memory": memory * 0.99})
    less = plan(base.model_copy(update={"servers": (server,)}), scheme=scheme)
    assert free.decision["cut"] not in [row["cut"] for row in less.prediction["cuts"]]
    assert copies * less.prediction["server_memory_bytes"] <= copies * memory * 0.99
    assert open_plan(less).decision.cut == less.decision["cut"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"server_order": "turns"}, "server_order: is 'turns', it must be one of client, batch"),
        ({"batch_size": [5, 4]}, r"batch_size\[0\]: is 5, more than the 4 samples there are"),
        ({"samples": [4]}, "samples: has 1 entries, it needs 2"),
        ({"epochs": 0}, "epochs: is 0, it must be a whole number >= 1"),
        ({"shared_links": 2}, "shared_links: must be true or false"),
        ({"copies_allowed": [True]}, "copies_allowed: is 1, it must be 3"),
        ({"forward_s": -np.ones((2, 3))}, r"forward_s\[0\]\[0\]: is -1"),
    ],
)
def test_wrong_data_are_refused_with_field_value_and_mend(change, message):
    with pytest.raises(InputError, match=message):
        CommonCut(**two_devices().data() | change)


def test_so_many_batches_are_not_served_one_by_one():
    many = two_devices().data() | {"samples": [10**6] * 2, "batch_size": [1, 1]}
    with pytest.raises(InputError, match=r"a round has 2,000,000 batches.*take larger batches"):
        CommonCut(**many | {"server_order": "batch"}, objective="splitfed_v2")
    assert solve(CommonCut(**many, objective="splitfed_v2")).outcome == "optimal"
    assert solve(CommonCut(**many, objective="splitfed_v2")).objective == pytest.approx(
        simulate_decision(
            CommonCut(**many, objective="splitfed_v2"),
            CommonCut(**many, objective="splitfed_v2").complete(2),
        ).simulated_s
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scheme": "splitfed"}, "scheme: is 'splitfed', it must be one of splitfed_v1"),
        ({"scheme": "vanilla", "server_order": "batch"}, "server_order: is for the scheme"),
        ({"scheme": "splitfed_v2", "server_order": "all"}, "server_order: is 'all'"),
        ({"scheme": "vanilla", "problem": "cut_and_resources"}, "scheme: asks for common_cut"),
        ({"scheme": "vanilla", "objective": "sum"}, "scheme: is the objective itself"),
        ({"server_order": "batch"}, "server_order: is for the scheme splitfed_v2"),
    ],
)
def test_wrong_questions_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        plan("digits-splitfed", **given)
