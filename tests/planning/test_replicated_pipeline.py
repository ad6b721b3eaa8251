"""Plans of replicated stages: against brute force, field by field, and what is refused."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from splitopt import InputError, compare_schemes, diff_plans, plan, simulate
from splitopt.planning.planner import open_plan
from tests.replicated import FAST, SLOW, drawn, scenario

KEPT = {"sgd": 0, "momentum": 1, "adam": 2}


def brute_force(profile, document):
    """Return the least period over all pipelines without recompute, from the document alone."""
    asked, best = document["replication"], math.inf
    size = asked["batch_size"]
    layers = len(profile.layers)
    work = 3 * np.diff(profile.device_forward_flop, prepend=0.0)
    weights = np.diff(profile.device_model_bytes, prepend=0.0)
    counts = [one.get("count", 1) for one in asked["types"]]
    for stages in range(1, min(layers, sum(counts)) + 1):
        teams = [team for team in itertools.product(*(range(c + 1) for c in counts)) if sum(team)]
        for inner in itertools.combinations(range(1, layers), stages - 1):
            ends = (0, *inner, layers)
            for chosen in itertools.product(teams, repeat=stages):
                if any(
                    sum(own) > c for own, c in zip(zip(*chosen, strict=True), counts, strict=True)
                ):
                    continue
                found = [
                    stage(profile, asked, work, weights, size, ends[m : m + 2], chosen[m:])
                    for m in range(stages)
                ]
                best = min(best, max(found))
    return best


def stage(profile, asked, work, weights, size, ends, teams):
    """Return the seconds of a stage, infinite where a machine is too small."""
    (first, last), team = ends, teams[0]
    speed = {"1 MFLOPS": 1e6, "500 kFLOPS": 5e5}
    rate = {"1 Mbps": 125e3, "500 kbps": 62.5e3}
    up = [size * (profile.smashed_bytes[c - 1] if c else 0.0) for c in (first, last)]
    down = [size * (profile.gradient_bytes[c - 1] if c else 0.0) for c in (first, last)]
    moved = max(up[0] + down[1], down[0] + up[1])
    alone = [
        size * work[first:last].sum() / speed[one["compute"]] + moved / rate[one["rate"]]
        for one in asked["types"]
    ]
    pace = sum(count / seconds for count, seconds in zip(team, alone, strict=True))
    machines, flight = sum(team), min(sum(map(sum, teams)), asked["micro_batches"])
    slowest = min(rate[t["rate"]] for t, count in zip(asked["types"], team, strict=True) if count)
    own = weights[first:last].sum()
    kept = KEPT[asked["optimizer"]] * own / (machines if asked["shard_optimizer"] else 1)
    for kind, count, seconds in zip(asked["types"], team, alone, strict=True):
        if count and "memory" in kind:
            held = math.ceil(flight / seconds / pace - 1e-9)
            saved = held * size * profile.layer_saved_bytes[first:last].sum()
            if 2 * own + kept + saved > (float(kind["memory"][:-2]) - 100) * (1 + 1e-9):
                return math.inf
    reduce = 2 * (machines - 1) / machines * own / slowest / asked["micro_batches"]
    return 1 / pace + reduce


def case(seed, folder, *types, **replication):
    """Return a drawn profile and the document of a scenario for it."""
    profile = drawn(seed)
    profile.save(folder / f"{seed}.json")
    return profile, scenario(folder / f"{seed}.json", *types, **replication)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.one_quick
def test_the_period_is_that_of_brute_force(seed, tmp_path):
    """With and without memory, which some have no plan within."""
    more = {} if seed % 2 else {"memory": f"{1500 + 250 * seed} B", "reserve": "100 B"}
    shared = {"optimizer": list(KEPT)[seed % 3], "shard_optimizer": seed % 4 < 2}
    profile, document = case(seed, tmp_path, FAST | more, SLOW | more, **shared)
    expected, found = brute_force(profile, document), plan(document)
    if math.isinf(expected):
        assert found.result["outcome"] == "infeasible"
        assert found.result["message"]
        return
    assert found.result["outcome"] == "optimal"
    assert found.prediction["period_s"] == pytest.approx(expected, rel=1e-9)
    other = plan(document, solver="enumerate")
    assert other.result["objective"] == pytest.approx(expected, rel=1e-9)


def test_the_plan_is_opened_and_replayed_from_its_file(tmp_path):
    """All that it promises follows from the file; a promise that was changed is refused."""
    _, document = case(2, tmp_path, FAST, SLOW, micro_batches=40)
    found = plan(document)
    found.save(tmp_path / "plan.json")
    assert open_plan(tmp_path / "plan.json").plan.prediction == found.prediction
    replayed = simulate(tmp_path / "plan.json")
    assert replayed.simulated_s == pytest.approx(found.prediction["round_s"])
    facts = dict(replayed.facts)
    assert f"{found.prediction['reached_s']:.5g} s" in facts["Period that a full pipeline reaches"]
    changed = found.to_dict()["prediction"]
    changed["stages"][0]["all_reduce_s"] += 1
    with pytest.raises(InputError, match=r"stages\[0\].all_reduce_s"):
        open_plan(replace(found, prediction=changed))


def test_every_machine_is_in_one_place(tmp_path):
    """Names, shares and memory of the rows go together with the types."""
    room = {"memory": "9 kB", "reserve": "1 kB"}
    _, document = case(3, tmp_path, FAST | room, SLOW | room)
    found = plan(document).prediction
    rows = [row for stage in found["stages"] for row in stage["replicas"]]
    names = [name for row in rows for name in row["machines"]]
    assert sorted([*names, *found["idle"]]) == ["fast-1", "fast-2", "slow"]
    assert all(name.startswith(row["type"]) for row in rows for name in row["machines"])
    assert all(row["memory_bytes"] <= row["memory_limit_bytes"] == 8e3 for row in rows)
    for stage in found["stages"]:
        dealt = sum(row["share"] * len(row["machines"]) for row in stage["replicas"])
        assert dealt == pytest.approx(1)
    layers = [name for stage in found["stages"] for name in stage["layers"]]
    assert layers == [f"layer{v}" for v in range(4)]


CHANGES = {
    "batch_size": 5,
    "micro_batches": 9,
    "schedule": "gpipe",
    "recompute": "always",
    "optimizer": "adam",
    "shard_optimizer": True,
    "duplex": "half",
    "overlap": True,
    "max_replicas": 1,
    "use_all_machines": True,
}
OF_A_TYPE = {
    "count": 3,
    "compute": "3 MFLOPS",
    "rate": "2 kbit/s",
    "memory": "40 kB",
    "reserve": "2 kB",
    "slowdown": 2.5,
}


@pytest.mark.parametrize("field", [*CHANGES, *OF_A_TYPE])
def test_every_field_changes_the_plan(field, tmp_path):
    """Nothing that such a scenario states is without effect."""
    weak = {**SLOW, "compute": "1 kFLOPS"} if field == "use_all_machines" else SLOW
    room = {"memory": "20 kB", "reserve": "1 kB"}
    types = [FAST | room, weak | room]
    document = scenario("unused", *types)
    if field == "slowdown":
        types[0]["machine"] = "gpu"
        types[1]["machine"] = "gpu"
        for one in types:
            del one["compute"]
            one |= {"memory": "16 GB"}
        document["model"] = {"profile": "pipedream-vgg16"}
    else:
        _, document = case(4, tmp_path, *types)
    base = plan(document)
    if field in CHANGES:
        document["replication"][field] = CHANGES[field]
    else:
        document["replication"]["types"][0] = types[0] | {field: OF_A_TYPE[field]}
    found = plan(document)
    assert (found.decision, found.prediction) != (base.decision, base.prediction)
    assert not [note for note in found.notes if note.startswith("not used here")]


def test_fewer_micro_batches_than_stages_are_warned_of(tmp_path):
    """And none where there are enough."""
    _, document = case(1, tmp_path, micro_batches=2, max_replicas=1, use_all_machines=True)
    assert any("2 micro-batches for 3 stages" in note for note in plan(document).notes)
    document["replication"]["micro_batches"] = 3
    assert not any("micro-batches for" in note for note in plan(document).notes)


def test_statistics_that_no_all_reduce_brings_together_are_named(tmp_path):
    """Of a stage with several machines alone."""
    names = ("conv", "features.bn1", "BatchNorm2d-3", "subnet")
    drawn(5, names=names).save(tmp_path / "p.json")
    one = {**FAST, "count": 2, "rate": "1 Gbps"}
    document = scenario(tmp_path / "p.json", one)
    found = plan(document)
    assert len(found.prediction["stages"]) == 1
    (note,) = [n for n in found.notes if "batch normalization" in n]
    assert "features.bn1, BatchNorm2d-3)" in note
    assert "2 machines" in note
    document["replication"]["max_replicas"] = 1
    assert not any("batch normalization" in n for n in plan(document).notes)


def test_what_needs_a_fleet_refuses_it(tmp_path):
    """Other problems, comparisons and schemes; and this problem another scenario."""
    _, document = case(1, tmp_path)
    for call in (
        lambda: compare_schemes(document),
        lambda: plan(document, problem="cut_and_resources"),
        lambda: plan(document, scheme="vanilla"),
    ):
        with pytest.raises(InputError, match="has 'replication' and no fleet of devices"):
            call()
    with pytest.raises(InputError, match="accelerators: there are none"):
        plan(document, problem="graph_partition")
    with pytest.raises(InputError, match="replication: there is no such section"):
        plan("digits-splitfed", problem="replicated_pipeline")


def test_memory_without_saved_tensors_is_refused(tmp_path):
    """The message names the array and the field."""
    replace(drawn(1), layer_saved_bytes=None).save(tmp_path / "p.json")
    document = scenario(tmp_path / "p.json", FAST | {"memory": "1 MB"})
    with pytest.raises(InputError, match=r"layer_saved_bytes.*leave out 'memory' of the types"):
        plan(document)


def test_a_section_that_it_has_no_use_for_is_named(tmp_path):
    """It is in a note, as everywhere."""
    _, document = case(1, tmp_path)
    document["privacy"] = {"leakage_limit": 0.5}
    assert "not used here: privacy.leakage_limit" in plan(document).notes


def test_two_plans_are_told_apart(tmp_path):
    """What differs is the stage of each machine."""
    _, document = case(2, tmp_path, max_replicas=1)
    one = plan(document)
    document["replication"]["max_replicas"] = 3
    changes = diff_plans(one, plan(document)).to_dict()
    assert "stage" in str(changes)


def test_a_long_round_follows_at_its_pace(tmp_path):
    """Of ten million micro-batches not every one is run."""
    _, document = case(2, tmp_path, micro_batches=10_000_000)
    found = plan(document).prediction
    assert found["round_s"] == pytest.approx(1e7 * found["reached_s"], rel=0.02)
