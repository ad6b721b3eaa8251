"""Plans of pipelines: what they promise adds up, and what cannot be is explained."""

from __future__ import annotations

import copy
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from splitopt import InputError, PipelinePartition, Plan, Scenario, plan, solve
from splitopt.planning import open_plan
from splitopt.planning.planner import default_problem
from splitopt.report import plan_to_html, plan_to_terminal

GIB = 2.0**30


def document(**changes):
    """Return the scenario of MP-SL's VGG-19 with three nodes, plain data."""
    found = {
        "name": "vgg",
        "model": {"profile": "vgg19-cifar", "fill": "flop_ratio"},
        "devices": [
            {"name": "pi", "count": 12, "machine": "d1", "samples": 2048, "batch_size": 128}
        ],
        "links": {
            "downlink": {"rate": 4e7},
            "uplink": {"rate": 4e7},
            "shared": False,
            "nodes": {"model": "none"},
        },
        "nodes": [
            {"name": "vm", "count": 2, "machine": "VM", "memory": 16 * GIB, "price_per_hour": 0.2},
            {"name": "slow", "machine": "VM", "slowdown": 2.0, "price_per_hour": 0.1},
        ],
        "pipeline": {"first_cut": 2, "last_cut": 23, "use_all_nodes": True},
        "training": {"epochs": 2, "rounds": 3},
    }
    return copy.deepcopy({**found, **changes})


def scenario(**changes):
    return Scenario.from_si(document(**changes))


def text_of(made):
    from rich.console import Console

    console = Console(width=160, record=True, file=io.StringIO())
    console.print(plan_to_terminal(made))
    return console.export_text()


def test_prediction_adds_up():
    """Rows are the decision's, the period the busiest node, the round the closed form."""
    given = scenario()
    made = plan(given)
    found = made.prediction
    assert made.problem == "pipeline_partition"
    assert made.objective == "round"
    assert made.result["outcome"] == "optimal"
    busy = [row["forward_s"] + row["backward_s"] for row in found["nodes"]]
    assert found["period_s"] == pytest.approx(max(busy))
    assert made.result["objective"] == found["round_s"]
    assert max(row["busy"] for row in found["nodes"]) == pytest.approx(1.0)
    assert found["latency_s"] > sum(busy)
    assert sum(row["layers"] for row in found["nodes"]) == 21
    layers = [row["first_layer"] for row in found["nodes"]]
    assert layers[0] == "pool1"
    assert found["nodes"][-1]["last_layer"] == "fc6"
    assert found["owner_layers"] == ["conv1_1", "conv1_2", "fc7", "fc8"]
    assert found["batches"] == 12 * 2 * 16
    # an owner's two parts over 40 Mbit/s: one upload, and twelve downloads one after the other
    parts = given.load_model().device_model_bytes
    part_s = 8 * float(parts[1] + parts[-1] - parts[22]) / 40e6
    assert found["aggregation_s"] == pytest.approx(13 * part_s)
    assert found["round_s"] == pytest.approx(
        max(
            found["trip_s"] + (found["batches"] - 1) * found["period_s"],
            32 * found["trip_s"],
        )
        + 13 * part_s
    )
    assert found["load"] == pytest.approx(12 * found["period_s"] / found["trip_s"])
    assert found["training_s"] == 3 * found["round_s"]
    assert found["round_cost"] == pytest.approx(found["round_s"] * 0.5 / 3600)
    assert found["binding"]["kind"] == "node"
    for row in found["nodes"]:
        if row["memory_limit_bytes"] is not None:
            assert row["memory_bytes"] <= row["memory_limit_bytes"] * (1 + 1e-9)


def test_the_trip_has_the_owners_own_parts():
    """An owner computes conv1_1, conv1_2, fc7 and fc8 and moves two cuts both ways."""
    given = scenario()
    made = plan(given)
    times = given.load_model().machines["d1"]
    own = [0, 1, 23, 24]
    compute = 128 * times.total_s[own].sum()
    extra = made.prediction["trip_s"] - made.prediction["latency_s"]
    assert extra == pytest.approx(compute)


def test_worth_is_what_planning_anew_gives():
    """Each row is the optimum of the changed scenario."""
    made = plan(scenario())
    rows = {(row["resource"], row["change"]): row for row in made.prediction["worth"]}
    more = scenario()
    changed = document()
    changed["nodes"][1]["count"] = 2
    again = plan(Scenario.from_si(changed))
    row = rows["slow", "one more node, which must be used"]
    assert row["objective"] == pytest.approx(again.result["objective"])
    assert row["saves"] == pytest.approx(made.result["objective"] - again.result["objective"])
    assert ("links between nodes", "10 % more rate") not in rows
    assert more == scenario()


@pytest.mark.slow
def test_the_binding_link_is_named():
    """With slow links a link or an interface limits the period, and more rate is worth seconds."""
    slow = document()["links"]
    uniform = plan(scenario(links={**slow, "nodes": {"model": "uniform", "rate": 4e6}}))
    assert uniform.prediction["binding"]["kind"] == "link"
    assert "the link between" in text_of(uniform)
    nic = plan(scenario(links={**slow, "nodes": {"model": "nic", "rate": 4e7}}), objective="period")
    assert nic.prediction["binding"]["kind"] == "interface"
    assert "the network interface of" in plan_to_html(nic)
    worth = {row["resource"]: row["saves"] for row in nic.prediction["worth"]}
    assert worth["links between nodes"] > 0.1


def test_a_shared_uplink_is_named_and_counts():
    """Twelve owners over one uplink of 4 Mbit/s: their bytes are what a round is made of."""
    links = {**document()["links"], "shared": True, "uplink": {"rate": 4e6}}
    given = scenario(links=links)
    made = plan(given)
    found, profile = made.prediction, given.load_model()
    batch_s = 8 * 128 * (profile.smashed_bytes[1] + profile.gradient_bytes[22]) / 4e6
    assert found["binding"] == {
        "kind": "channel",
        "name": "uplink",
        "busy_s": pytest.approx(batch_s),
    }
    assert found["period_s"] == pytest.approx(batch_s)
    parts = profile.device_model_bytes
    part = 8 * float(parts[1] + parts[-1] - parts[22])
    aggregation_s = 12 * part * (1 / 4e6 + 1 / 40e6)
    assert found["aggregation_s"] == pytest.approx(aggregation_s)
    whole = found["trip_s"] + (found["batches"] - 1) * batch_s + aggregation_s
    assert found["round_s"] == pytest.approx(whole)
    shown = " ".join(text_of(made).split())
    assert "the uplink that all owners share" in shown
    assert "all owners share one downlink of 40 Mbit/s and one uplink of 4 Mbit/s" in shown
    private = " ".join(text_of(plan(scenario())).split())
    assert (
        "every owner has a downlink of 40 Mbit/s and an uplink of 40 Mbit/s of its own" in private
    )
    worth = {row["resource"]: row["saves"] for row in found["worth"]}
    faster = document()
    faster["links"] = {**links, "uplink": {"rate": 4.4e6}}
    again = plan(Scenario.from_si(faster)).result["objective"]
    assert worth["the shared uplink"] == pytest.approx(made.result["objective"] - again)


def test_nodes_that_cost_more_than_they_bring_are_noted():
    """A node behind a slow link, which must host a layer: the note says what idling it saves."""
    nodes = [{"name": "vm", "machine": "VM"}, {"name": "far", "machine": "VM"}]
    links = {**document()["links"], "nodes": {"model": "uniform", "rate": 1e6}}
    forced = plan(scenario(nodes=nodes, links=links))
    pipeline = {"first_cut": 2, "last_cut": 23}
    free = plan(scenario(nodes=nodes, links=links, pipeline=pipeline))
    assert free.prediction["idle"]
    assert forced.result["objective"] > 1.2 * free.result["objective"]
    now, then = (f"{made.result['objective']:.4g} s" for made in (forced, free))
    (note,) = [note for note in forced.notes if "use_all_nodes" in note]
    assert f"costs {now} instead of {then} with" in note
    assert not [note for note in plan(scenario()).notes if "use_all_nodes" in note]


def test_a_node_that_must_work_can_be_worth_less_than_nothing():
    """One more node behind slow links lengthens the round, and the table says by how much."""
    links = {**document()["links"], "nodes": {"model": "uniform", "rate": 1e6}}
    made = plan(scenario(links=links))
    rows = [row for row in made.prediction["worth"] if row["change"].startswith("one more node")]
    assert {row["change"] for row in rows} == {"one more node, which must be used"}
    assert min(row["saves"] for row in rows) < 0
    assert any("-" in line.split()[-2] for line in text_of(made).splitlines() if "one more" in line)


@pytest.mark.parametrize("objective", ["round", "period", "paper", "epoch"])
def test_every_objective_is_planned_and_opened_again(tmp_path, objective):
    """A plan needs no other file, and is checked when it is opened."""
    path = tmp_path / "plan.json"
    plan(scenario(), objective=objective).save(path)
    saved = Plan.load(path)
    opened = open_plan(saved)
    assert opened.problem.evaluate(opened.decision) == pytest.approx(saved.result["objective"])
    assert saved.prediction["objective_unit"] == "s"


def test_a_tampered_decision_is_refused():
    """Hashes aside, a decision must give what the plan promises."""
    made = plan(scenario())
    moved = list(made.decision["assignment"])
    other = replace(made, decision={**made.decision, "assignment": moved[::-1]})
    with pytest.raises(InputError, match=r"not feasible|decision gives"):
        open_plan(other)


def test_idle_nodes_are_named_and_cost_nothing():
    """A node that would only slow the chain down stays idle where it may."""
    nodes = [*document()["nodes"], {"name": "snail", "machine": "VM", "slowdown": 1e4}]
    pipeline = {"first_cut": 2, "last_cut": 23}
    made = plan(scenario(nodes=nodes, pipeline=pipeline), objective="period")
    assert made.prediction["idle"] == ["snail"]
    assert made.prediction["round_cost"] > 0
    assert "Idle nodes: snail" in text_of(made)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"nodes": [{"name": "vm", "count": 3, "machine": "VM", "memory": 4 * GIB}]},
            r"layer fc6 fits no node: for 12 owners at batch size 128 it needs .* GB \(parameters, "
            r"gradients, momentum and saved tensors\) and the largest node has 4.295 GB; .*owners",
        ),
        (
            {"nodes": [{"name": "vm", "machine": "VM", "memory": 16 * GIB}]},
            r"all nodes together have 17.18 GB, .* GB too little; 2 nodes with 17.18 GB would do",
        ),
        (
            {
                "nodes": [{"name": "vm", "count": 22, "machine": "VM"}],
                "pipeline": {"first_cut": 2, "last_cut": 23, "use_all_nodes": True},
            },
            "22 nodes must host at least one layer each, but there are only 21 layers",
        ),
        (
            {
                "devices": [
                    {
                        "name": "pi",
                        "machine": "d1",
                        "samples": 2048,
                        "batch_size": 128,
                        "memory": GIB / 8,
                    }
                ]
            },
            r"an owner's layers, the first 2 and the last 2, need .* MB and pi has 134.2 MB; take",
        ),
    ],
)
def test_what_cannot_be_is_explained(tmp_path, changes, words):
    """The plan is written, says what would have to change, and has a page."""
    made = plan(scenario(**changes))
    assert not made.is_feasible
    assert made.result["outcome"] == "infeasible"
    assert re.search(words, made.result["message"]), made.result["message"]
    path = tmp_path / "plan.json"
    made.save(path)
    saved = Plan.load(path)
    assert open_plan(saved).decision is None
    assert "No plan (infeasible)" in plan_to_html(saved)


def test_the_named_number_of_nodes_would_do():
    """As many nodes as the message names have a plan, one fewer has none."""
    few = plan(scenario(nodes=[{"name": "vm", "machine": "VM", "memory": 16 * GIB}]))
    assert "2 nodes with" in few.result["message"]
    enough = [{"name": "vm", "count": 2, "machine": "VM", "memory": 16 * GIB}]
    assert plan(scenario(nodes=enough)).is_feasible


def test_notes_say_what_was_not_stated():
    """Links that cost nothing, memory without a limit, the paper's formula, fills."""
    made = plan(scenario())
    assert any("transfers between nodes cost nothing" in note for note in made.notes)
    assert any(note.startswith("VM: row 21 (pool5) filled") for note in made.notes)
    nodes = [{"name": "vm", "count": 2, "machine": "VM"}]
    assert any("no memory is limited" in note for note in plan(scenario(nodes=nodes)).notes)
    pipeline = {"first_cut": 2, "last_cut": 23, "memory": "outputs"}
    notes = plan(scenario(pipeline=pipeline)).notes
    assert any("as MP-SL does" in note for note in notes)


def test_which_question_a_scenario_asks(scenario_document):
    """Compute nodes ask for a pipeline; without a server the other problem refuses."""
    assert default_problem(scenario()) == "pipeline_partition"
    assert default_problem(Scenario.from_si(scenario_document)) == "cut_and_resources"
    assert default_problem(Scenario.load("cpsl-identical")) == "cluster_and_spectrum"
    varying = Scenario.load(Path(__file__).parents[2] / "examples" / "cpsl-varying.yaml")
    assert default_problem(varying) == "cut_under_uncertainty"
    with pytest.raises(InputError, match=r"servers: there is none.*pipeline_partition"):
        plan(scenario(), problem="cut_and_resources")
    both = Scenario.from_si({**document(), "servers": [{"name": "edge", "compute": 1e12}]}, "test")
    assert plan(both, problem="cut_and_resources").is_feasible
    with pytest.raises(InputError, match="nodes: there are none"):
        plan(Scenario.from_si(scenario_document), problem="pipeline_partition")


def test_the_plan_is_the_problems_optimum():
    """Planning adds nothing to what solving the problem itself gives."""
    given = scenario()
    result = solve(PipelinePartition.from_scenario(given, objective="epoch"))
    made = plan(given, objective="epoch")
    assert made.result["objective"] == pytest.approx(result.objective, rel=1e-12)
    np.testing.assert_array_equal(made.decision["assignment"], result.decision.assignment)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fixed", "free"), [({"last_cut": 23}, "first_cut"), ({"first_cut": 2}, "last_cut")]
)
@pytest.mark.parametrize("objective", ["round", "period", "epoch"])
def test_a_cut_left_to_the_plan_gives_the_shortest_round(fixed, free, objective):
    """Against a plan for every cut that could have been stated, within the owners' memory."""
    devices = [{**document()["devices"][0], "memory": 1.2 * GIB}]
    made = plan(scenario(pipeline=fixed, devices=devices), objective=objective)
    rounds = {}
    for cut in range(1, 25):
        pipeline = {**fixed, free: cut}
        if pipeline["first_cut"] < pipeline["last_cut"]:
            other = plan(scenario(pipeline=pipeline, devices=devices), objective=objective)
            if other.is_feasible:
                rounds[cut] = other.prediction["round_s"]
    assert 2 <= len(rounds) < 24
    assert made.prediction["round_s"] == pytest.approx(min(rounds.values()))
    assert rounds[made.prediction[free]] == pytest.approx(min(rounds.values()))
    assert made.scenario["pipeline"][free] == made.prediction[free]
    assert any("chosen for the shortest round" in note for note in made.notes)
    assert open_plan(made).decision is not None


def test_both_cuts_left_to_the_plan_beat_the_stated_ones():
    """The default leaves both to the plan; owners that can hold nothing are said to."""
    both = plan(scenario(pipeline={}))
    assert both.prediction["round_s"] <= plan(scenario()).prediction["round_s"]
    devices = [{**document()["devices"][0], "memory": 1e6}]
    none = plan(scenario(pipeline={}, devices=devices))
    assert "owners keep at least their first and last layer" in none.result["message"]
