"""Plans of a graph over accelerators: against brute force, field by field, and what is refused."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from splitopt import InputError, Scenario, compare_schemes, load_profile, plan, simulate
from splitopt.planning.fields import stated_fields
from splitopt.planning.planner import open_plan
from splitopt.problems.graph_partition import GraphPartition
from splitopt.profiles import ModelProfile
from splitopt.profiles.table.layer_graph import LayerGraph
from splitopt.profiles.table.provenance import Provenance
from tests.accelerated import scenario


def drawn(seed, layers=6):
    """Draw a small profile with a graph, work with ties, and layers that stay together."""
    rng = np.random.default_rng(seed)
    work = rng.integers(1, 5, layers).astype(float)
    pairs = [(a, b) for b in range(1, layers) for a in range(b) if rng.random() < 0.5]
    pairs += [(0, b) for b in range(1, layers) if all(end != b for _, end in pairs)]
    read = np.isin(np.arange(layers), [a for a, _ in pairs])
    output = rng.integers(1, 4, layers) * read
    together = ((1, 3),) if seed % 3 == 0 else ()
    forward, zeros = np.cumsum(1e3 * work), np.zeros(layers)
    return ModelProfile(
        name=f"drawn-{seed}",
        layers=tuple(f"layer{v}" for v in range(layers)),
        device_forward_flop=forward,
        device_backward_flop=2 * forward,
        server_forward_flop=forward[-1] - forward,
        server_backward_flop=2 * (forward[-1] - forward),
        smashed_bytes=zeros,
        gradient_bytes=zeros,
        device_model_bytes=np.cumsum(100.0 * work),
        layer_saved_bytes=10.0 * work,
        work_unit="FLOP",
        provenance=Provenance(kind="computed", source="drawn for a test"),
        graph=LayerGraph(np.array(pairs), 100.0 * output, 50.0 * output, together),
    )


def brute_force(profile, accelerators, cpu_speed, memory, rate, batch, flight):
    """Return the least period over all placements, from the tables alone; None without one."""
    graph, best = profile.graph, None
    work = 3 * np.diff(profile.device_forward_flop, prepend=0.0)
    parameters = np.diff(profile.device_model_bytes, prepend=0.0)
    held = 3 * parameters + flight * batch * profile.layer_saved_bytes
    machines = accelerators + (cpu_speed is not None)
    for device in itertools.product(range(machines), repeat=len(work)):
        if any(len({device[v] for v in group}) > 1 for group in graph.together):
            continue
        arcs = {(device[a], device[b]) for a, b in graph.edges if device[a] != device[b]}
        if not any(
            all(order.index(a) < order.index(b) for a, b in arcs)
            for order in itertools.permutations(range(machines))
        ):
            continue
        loads, memories = [0.0] * machines, [0.0] * machines
        for v, d in enumerate(device):
            loads[d] += batch * work[v] / (1e6 if d < accelerators else cpu_speed)
            memories[d] += held[v]
            takers = {device[b] for a, b in graph.edges if a == v} - {d}
            crossing = 8 * batch * (graph.output_bytes[v] + graph.gradient_bytes[v]) / rate
            for machine in takers | ({d} if takers else set()):
                loads[machine] += crossing if machine < accelerators else 0.0
        if memory is not None and max(memories[:accelerators]) > memory:
            continue
        best = max(loads) if best is None else min(best, max(loads))
    return best


def case(seed, folder, **accelerators):
    """Return a drawn profile and the document of a scenario for it."""
    profile = drawn(seed, 5)
    profile.save(folder / f"{seed}.json")
    return profile, scenario(folder / f"{seed}.json", compute="1 MFLOPS", **accelerators)


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.one_quick
def test_the_period_is_that_of_brute_force(seed, tmp_path):
    """With and without CPU and memory, cheap and dear links; infeasible ones as well."""
    rate = (1e6, 1e5, 1e7)[seed % 3]
    cpu = None if seed % 2 else 3e5
    profile = drawn(seed, 5)
    held = 3 * np.diff(profile.device_model_bytes, prepend=0.0) + 6 * profile.layer_saved_bytes
    memory = (None, 0.4, 0.7, 0.6)[seed % 4]
    memory = None if memory is None else float(memory * held.sum())
    more = {"rate": f"{rate:.0f} bit/s", "count": 2, "in_flight": 3}
    more |= {} if cpu is None else {"cpu": {"compute": "300 kFLOPS"}}
    more |= {} if memory is None else {"memory": f"{memory} B"}
    _, document = case(seed, tmp_path, **more)
    expected = brute_force(profile, 2, cpu, memory, rate, 2, 3)
    found = plan(document)
    if expected is None:
        assert found.result["outcome"] == "infeasible"
        assert "accelerator" in found.result["message"]
        return
    assert found.result["outcome"] == "optimal"
    assert found.prediction["period_s"] == pytest.approx(expected, rel=1e-9)
    assert found.result["objective"] == pytest.approx(expected, rel=1e-9)
    other = plan(document, solver="enumerate")
    assert other.result["objective"] == pytest.approx(expected, rel=1e-9)


def test_infeasible_says_what_would_do(tmp_path):
    """A layer that fits nowhere, and too few accelerators."""
    _, document = case(1, tmp_path, memory="100 B")
    assert "fits no accelerator: with 3 micro-batches of 2" in plan(document).result["message"]
    _, document = case(1, tmp_path, memory="1300 B", in_flight=1, count=2)
    assert "2 accelerators have 2.6 kB" in plan(document).result["message"]


def test_the_plan_is_opened_and_replayed_from_its_file(tmp_path):
    """All that it promises follows from the file; a promise that was changed is refused."""
    _, document = case(2, tmp_path, micro_batches=100)
    found = plan(document)
    found.save(tmp_path / "plan.json")
    opened = open_plan(tmp_path / "plan.json")
    assert opened.plan.prediction == found.prediction
    replayed = simulate(tmp_path / "plan.json")
    assert replayed.simulated_s == pytest.approx(found.prediction["round_s"])
    period = found.prediction["period_s"]
    assert 100 * period <= replayed.simulated_s * (1 + 1e-9)
    machines = len(found.prediction["machines"])
    assert replayed.simulated_s <= (100 + 2 * machines - 3) * period * (1 + 1e-9)
    assert f"{period:.5g} s" in dict(replayed.facts)["Simulated pace"]
    changed = found.to_dict()["prediction"]
    changed["machines"][0]["sent_bytes"] += 1
    with pytest.raises(InputError, match=r"machines\[0\].sent_bytes"):
        open_plan(replace(found, prediction=changed))


CHANGES = {
    "accelerators.count": 2,
    "accelerators.compute": "3 MFLOPS",
    "accelerators.rate": "2 kbit/s",
    "accelerators.batch_size": 5,
    "accelerators.micro_batches": 9,
    "accelerators.in_flight": 2,
    "accelerators.held": "saved",
    "accelerators.memory": "2 kB",
    "accelerators.cpu.compute": "9 MFLOPS",
    "accelerators.cpu.count": 2,
    "training.rounds": 4,
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_changes_the_plan(field, tmp_path):
    """Nothing that a scenario of accelerators states is without effect."""
    _, document = case(4, tmp_path, memory="4 kB", cpu={"compute": "500 kFLOPS"})
    base = plan(document)
    place = document
    *path, leaf = field.split(".")
    for step in path:
        place = place.setdefault(step, {})
    place[leaf] = CHANGES[field]
    found = plan(document)
    assert (found.decision, found.prediction) != (base.decision, base.prediction)
    assert not [note for note in found.notes if note.startswith("not used here")]


def test_slowdown_is_of_a_measured_machine(tmp_path):
    """Twice as slow has twice the work; a graph of PipeDream is planned as a graph."""
    document = scenario("unused", machine="gpu", batch_size=128, rate="10 Gbps", count=2)
    del document["accelerators"]["compute"]
    document["model"] = {"profile": "pipedream-squeezenet1_0"}
    fast = plan(document).prediction
    document["accelerators"]["slowdown"] = 2
    slow = plan(document).prediction
    total = [sum(row["forward_s"] for row in found["machines"]) for found in (fast, slow)]
    assert total[1] == pytest.approx(2 * total[0])
    names = [name for row in fast["machines"] for name in row["layers"]]
    whole = load_profile("pipedream-squeezenet1_0", boundaries="graph")
    assert sorted(names) == sorted(whole.layers)
    assert Scenario.from_dict(document).with_boundaries("graph") == Scenario.from_dict(document)


def test_a_section_that_a_graph_has_no_use_for_is_named(tmp_path):
    """It is in a note, as everywhere."""
    _, document = case(1, tmp_path)
    document["privacy"] = {"leakage_limit": 0.5}
    assert "not used here: privacy.leakage_limit" in plan(document).notes
    assert "accelerators.rate" in stated_fields(Scenario.from_dict(document))


def test_what_needs_a_fleet_refuses_accelerators(tmp_path):
    """Other problems, comparisons and schemes."""
    _, document = case(1, tmp_path)
    for call in (
        lambda: compare_schemes(document),
        lambda: plan(document, problem="cut_and_resources"),
        lambda: plan(document, scheme="vanilla"),
        lambda: plan(document, problem="pipeline_partition"),
    ):
        with pytest.raises(InputError, match="has 'accelerators' and no fleet of devices"):
            call()
    with pytest.raises(InputError, match="accelerators: there are none"):
        plan("digits-splitfed", problem="graph_partition")


def test_a_profile_of_a_chain_is_refused_with_what_makes_a_graph():
    """The message names the option."""
    document = scenario("unused")
    document["model"] = {"profile": "resnet18-imagenet"}
    with pytest.raises(InputError, match=r"is a chain of layers.*--boundaries graph"):
        plan(document)
    with pytest.raises(InputError, match=r"is a chain of layers and no graph"):
        GraphPartition.from_scenario(document)


def test_a_layer_without_a_time_that_is_needed_is_refused(tmp_path):
    """A machine that the profile was not measured on, and one with gaps."""
    _, document = case(1, tmp_path)
    document["accelerators"] |= {"machine": "gpu"}
    del document["accelerators"]["compute"]
    with pytest.raises(InputError, match="gpu"):
        plan(document)


def test_two_plans_are_told_apart(tmp_path):
    """What differs is the layers of each machine."""
    from splitopt import diff_plans

    _, document = case(2, tmp_path)
    one = plan(document)
    document["accelerators"]["rate"] = "1 kbit/s"
    rows = diff_plans(one, plan(document)).to_dict()
    assert "layers" in json.dumps(rows)
