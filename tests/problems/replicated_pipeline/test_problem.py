"""`ReplicatedPipeline` against values worked out by hand, its files, and its wrong input."""

import json

import numpy as np
import pytest

from splitopt import InputError, ReplicatedPipeline, load_problem, solve
from splitopt.problems.digest import instance_digest
from splitopt.problems.replicated_pipeline.program import pipeline_program, program_size

FOUR = {
    "forward_s": [[1.0, 2.0, 1.0, 2.0], [2.0, 4.0, 2.0, 4.0]],  # the second type is half as fast
    "backward_s": [[2.0, 4.0, 2.0, 4.0], [4.0, 8.0, 4.0, 8.0]],
    "devices": [2, 2],
    "micro_batches": 6,
    "weight_bytes": [3.0, 3.0, 6.0, 6.0],
    "activation_bytes": [8.0, 4.0, 2.0, 2.0],
    "optimizer_bytes": [6.0, 6.0, 12.0, 12.0],
    "cut_up_bytes": [4.0, 2.0, 1.0, 1.0, 0.0],
    "cut_down_bytes": [0.0, 2.0, 1.0, 1.0, 0.0],
}


def four(**fields):
    return ReplicatedPipeline(**(FOUR | fields))


def stages(problem, ends, devices, recompute=None):
    decision = {"ends": ends, "devices": devices}
    if recompute is not None:
        decision["recompute"] = recompute
    return problem.stages(problem.decode(decision))


def test_micro_batches_are_dealt_by_speed():
    """9 s alone on the fast type and 18 s on the other: two of three micro-batches go to it."""
    first, last = stages(four(), [2, 4], [[1, 1], [0, 2]])
    assert first.shares.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert first.period_s == pytest.approx(6.0)
    assert last.period_s == pytest.approx(9.0)
    assert last.shares.tolist() == [0, 0.5]


def test_transfers_keep_an_interface_busy():
    """The second stage takes 1 and gives back 1 byte at its front end, and nothing at the last."""
    full = stages(four(bandwidth_bytes_per_s=[1.0, 2.0]), [2, 4], [[1, 0], [1, 0]])
    assert [stage.period_s for stage in full] == [9 + 4 + 1, 9 + 1]
    half = four(bandwidth_bytes_per_s=[1.0, 2.0], duplex="half")
    found = stages(half, [2, 4], [[1, 0], [0, 1]])
    assert [stage.period_s for stage in found] == [9 + 4 + 1 + 1, 18 + 2 / 2]
    beside = four(bandwidth_bytes_per_s=[0.1, 2.0], overlap=True)
    assert stages(beside, [2, 4], [[1, 0], [1, 0]])[0].period_s == 50


def test_an_all_reduce_is_paid_once_per_step_or_once_per_replica():
    """6 bytes of weights, of which each of two devices sends and receives half, twice."""
    fast = {"bandwidth_bytes_per_s": [1e9, 1e9], "cut_up_bytes": None, "cut_down_bytes": None}
    for schedule, duplex, often, busy in (
        ("1f1b", "full", 6, 6e-9),
        ("gpipe", "half", 6, 12e-9),
        ("pipedream", "full", 2, 6e-9),
    ):
        problem = four(**fast, schedule=schedule, duplex=duplex)
        first = stages(problem, [2, 4], [[2, 0], [0, 2]])[0]
        assert first.all_reduce_s == pytest.approx(busy / often)
        assert first.period_s == pytest.approx(4.5 + busy / often)


@pytest.mark.parametrize(
    ("schedule", "flight", "copies"),
    [("1f1b", [4, 2], [[3, 2], [0, 1]]), ("gpipe", [6, 6], [[4, 2], [0, 3]])],
)
def test_the_schedule_says_what_is_in_flight(schedule, flight, copies):
    """Four devices from the first stage on; the fast one holds two thirds, rounded up."""
    found = stages(four(schedule=schedule), [2, 4], [[1, 1], [0, 2]])
    assert [stage.in_flight for stage in found] == flight
    assert [stage.copies.tolist() for stage in found] == copies


def test_one_micro_batch_is_not_in_flight_twice():
    found = stages(four(micro_batches=1), [1, 2, 4], [[1, 0], [1, 0], [0, 1]])
    assert [stage.in_flight for stage in found] == [1, 1, 1]


def test_memory_is_weights_gradients_states_and_what_is_in_flight():
    """Stages of 6 and 12 bytes of weights; 12 and 4 bytes are kept of a micro-batch."""
    plain = stages(four(), [2, 4], [[1, 1], [0, 2]])
    assert plain[0].memory_bytes.tolist() == [2 * 6 + 12 + 3 * 12, 2 * 6 + 12 + 2 * 12]
    assert plain[1].memory_bytes.tolist() == [0, 2 * 12 + 24 + 1 * 4]
    sharded = stages(four(shard_optimizer=True), [2, 4], [[1, 1], [0, 2]])
    assert sharded[0].memory_bytes.tolist() == [2 * 6 + 6 + 3 * 12, 2 * 6 + 6 + 2 * 12]
    versions = stages(four(schedule="pipedream"), [2, 4], [[1, 1], [0, 2]])
    assert versions[0].memory_bytes.tolist() == [4 * 6 + 12 + 3 * 12, 3 * 6 + 12 + 2 * 12]


def test_recompute_keeps_the_input_and_takes_a_forward_pass():
    """4 bytes go into the first stage; 3 s forward come on top of 9 s."""
    problem = four(recompute="choose")
    again = stages(problem, [2, 4], [[1, 0], [1, 0]], [True, False])[0]
    assert again.period_s == 12
    assert again.memory_bytes.tolist() == [2 * 6 + 12 + 2 * 4 + 12, 0]


def test_complete_computes_again_where_memory_asks_for_it():
    problem = four(recompute="choose", memory_bytes=[46.0, 60.0])
    found = problem.complete([2, 4], [[1, 0], [0, 1]])
    assert found.recompute.tolist() == [True, False]
    assert problem.violations(found) == {}
    assert four(recompute="always").complete([4], [[1, 0]]).recompute.tolist() == [True]
    assert four().complete([4], [[1, 0]]).recompute.tolist() == [False]


def test_what_a_decision_breaks_is_counted():
    problem = four(
        memory_bytes=[50.0, 90.0], reserve_bytes=[2.0, 0.0], max_replicas=2, use_all_devices=True
    )
    broken = problem.decode(
        {"ends": [2, 4], "devices": [[3, 0], [0, 1]], "recompute": [False, True]}
    )
    assert problem.violations(broken) == {
        "devices": 1,
        "idle_devices": 1,
        "replicas": 1,
        "recompute": 1,
    }
    short = problem.decode({"ends": [2, 4], "devices": [[1, 1], [1, 1]]})
    assert problem.violations(short) == {"memory_bytes": 60.0 - 48.0}
    empty = problem.decode({"ends": [2, 4], "devices": [[2, 2], [0, 0]]})
    assert problem.violations(empty) == {"stages_without_devices": 1, "replicas": 2}
    assert problem.evaluate(empty) == np.inf
    with pytest.raises(InputError, match=r"decision.devices\[1\]: has no device"):
        problem.stages(empty)


def test_the_bound_is_in_closed_form():
    """Half of the work may go to the slow type; a single layer may be on all devices."""
    assert four().bound() == pytest.approx(18 / (2 + 2 / 2))
    one = ReplicatedPipeline([[8.0, 1.0]], [[0.0, 0.0]], [4], 1, max_replicas=2)
    assert one.bound() == pytest.approx(4.0)
    assert four(recompute="always").bound() == pytest.approx(24 / 3)


def test_stages_are_plain_data():
    (stage,) = stages(four(memory_bytes=[1e3, 1e3]), [4], [[1, 0]])
    assert json.loads(json.dumps(stage.to_dict()))["memory_bytes"] == [88.0, 0.0]
    (free,) = stages(four(), [4], [[1, 0]])
    assert free.to_dict()["room_bytes"] == [None, None]
    assert stage.fits.all()


def test_a_problem_is_shown_by_its_size():
    assert repr(four()) == "<ReplicatedPipeline period, 4 layers, 4 devices of 2 types>"


def test_the_size_of_a_program_is_counted_before_it_is_built():
    """Exact for variables where memory is no matter and nothing is computed again."""
    for fields in ({}, {"recompute": "choose", "memory_bytes": [70.0, 60.0]}, {"max_replicas": 1}):
        problem = four(**fields)
        counted, built = program_size(problem), pipeline_program(problem, 1.0)
        rows = sum(len(part) for part in built.rows.values())
        assert len(built.binary) + len(built.real) <= counted.variables
        assert rows <= counted.linear_constraints
    assert len(pipeline_program(four(), 1.0).binary) == 10 * (3 * 3 - 1)


@pytest.mark.parametrize("end", ["json", "npz"])
def test_files_hold_the_same_instance(tmp_path, end):
    for fields in (
        {},
        {
            "bandwidth_bytes_per_s": [1.0, 2.0],
            "duplex": "half",
            "memory_bytes": [300.0, 400.0],
            "reserve_bytes": [1.0, 0.0],
            "schedule": "pipedream",
            "recompute": "choose",
            "shard_optimizer": True,
            "overlap": True,
            "max_replicas": 2,
            "use_all_devices": True,
        },
    ):
        problem = four(**fields)
        problem.save(tmp_path / f"one.{end}")
        again = load_problem(tmp_path / f"one.{end}")
        assert instance_digest(again) == instance_digest(problem)
        assert solve(again).objective == solve(problem, "enumerate").objective


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"forward_s": [[1.0, -1.0]]}, r"forward_s\[0\]\[1\]: is -1.0"),
        ({"backward_s": [[1.0] * 4]}, "backward_s: is 1 x 4, it must be 2 x 4"),
        ({"devices": [1]}, "devices: is 1, it must be 2"),
        ({"devices": [0, 1]}, r"devices\[0\]: is 0, it must be a whole number >= 1"),
        ({"devices": [1.5, 1]}, r"devices\[0\]: is 1.5"),
        ({"devices": [900, 200]}, "devices: are 1,100 in all, a problem has at most 1,000"),
        ({"micro_batches": 0}, "micro_batches: is 0"),
        ({"weight_bytes": [1.0]}, "weight_bytes: is 1, it must be 4"),
        ({"activation_bytes": [1, 2, 3, "4"]}, "activation_bytes"),
        ({"cut_up_bytes": [1.0] * 4}, "cut_up_bytes: is 4, it must be 5"),
        ({"bandwidth_bytes_per_s": [1.0, 0.0]}, r"bandwidth_bytes_per_s\[1\]: is 0"),
        ({"memory_bytes": 3.0}, "memory_bytes: must be a list"),
        ({"reserve_bytes": [1.0, float("inf")]}, r"reserve_bytes\[1\]: is inf"),
        ({"schedule": "1f1"}, "schedule: is '1f1', known are 1f1b, gpipe, pipedream"),
        ({"recompute": True}, "recompute: is True, known are never, always, choose"),
        ({"duplex": None}, "duplex: is None, known are full, half"),
        ({"overlap": 1}, "overlap: is 1, it must be true or false"),
        ({"max_replicas": 0}, "max_replicas: is 0"),
        ({"objective": "step"}, "objective is 'step', it must be 'period'"),
        ({"forward_s": [[1e300] * 4] * 2, "backward_s": [[1e-10] * 4] * 2}, "one that short"),
    ],
)
def test_wrong_data_is_refused_by_name(fields, words):
    with pytest.raises(InputError, match=words):
        four(**fields)


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ({"ends": [2, 3], "devices": [[1, 0], [1, 0]]}, r"ends\[1\]: is 3, the last .* layer 4"),
        ({"ends": [2, 2], "devices": [[1, 0], [1, 0]]}, "decision.ends: must rise"),
        ({"ends": [], "devices": []}, "decision.ends: must rise"),
        ({"ends": [4], "devices": [[1]]}, "about 1 types of devices, the problem has 2"),
        ({"ends": [4], "devices": [[1, 0], [1, 0]]}, "decision.devices: is 2 x 2"),
        ({"ends": [4], "devices": [[0.5, 0]]}, "decision.devices: must hold whole numbers"),
        ({"ends": [4], "devices": [[1e300, 0]]}, "decision.devices: must be at most"),
        ({"ends": [4], "devices": [[1, 0]], "recompute": [2]}, "decision.recompute: must hold"),
        ({"ends": [4]}, "devices"),
        ({"ends": [4], "devices": [[1, 0]], "again": []}, "again"),
    ],
)
def test_wrong_decisions_are_refused_by_name(decision, words):
    with pytest.raises(InputError, match=words):
        four().decode(decision)


def test_the_profile_of_a_model_becomes_a_problem():
    problem = ReplicatedPipeline.from_profile(
        "pipedream-vgg16", {"gpu": 4}, batch_size=64, micro_batches=8, memory_bytes=[16e9]
    )
    assert (problem.types, problem.layers, problem.device_count) == (1, 39, 4)
    assert problem.weight_bytes.sum() == pytest.approx(4 * 138_357_544)
    assert problem.optimizer_bytes.sum() == pytest.approx(8 * 138_357_544)
    assert problem.cut_up_bytes[0] == problem.cut_up_bytes[-1] == 0
    fast = [(1e12, 1), (2e12, 2)]
    rough = ReplicatedPipeline.from_profile(
        "resnet18-imagenet", fast, batch_size=8, micro_batches=4, optimizer="sgd"
    )
    assert rough.forward_s[0] == pytest.approx(2 * rough.forward_s[1])
    assert not rough.optimizer_bytes.any()


@pytest.mark.parametrize(
    ("machines", "others", "words"),
    [
        ({"gpx": 1}, {}, "has no machine 'gpx'; the machines are gpu"),
        ({}, {}, "machines: is .*, it must name machines"),
        ("gpu", {}, "machines: is 'gpu', it must name machines"),
        ([("gpu",)], {}, r"machines\[0\]: is .*, it must be a machine and its number"),
        ([(None, 2)], {}, r"machines\[0\]: is None, it must be the name of a machine"),
        ([(-1.0, 2)], {}, r"machines\[0\]: is -1.0"),
        ({"gpu": 0}, {}, r"devices\[0\]: is 0"),
        ({"gpu": 1}, {"batch_size": 0}, "batch_size: is 0"),
        ({"gpu": 1}, {"optimizer": "adm"}, "optimizer: is 'adm'.*did you mean 'adam'"),
    ],
)
def test_wrong_machines_are_refused_by_name(machines, others, words):
    with pytest.raises(InputError, match=words):
        ReplicatedPipeline.from_profile(
            "pipedream-vgg16", machines, **({"batch_size": 64, "micro_batches": 8} | others)
        )


def test_limited_memory_needs_what_layers_keep():
    profile = {"batch_size": 1, "micro_batches": 1, "memory_bytes": [1e9]}
    with pytest.raises(InputError, match="has no layer_saved_bytes"):
        ReplicatedPipeline.from_profile("cpsl-lenet-paper", [(1e12, 1)], **profile)
