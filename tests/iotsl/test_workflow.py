"""IoTSL from end to end: what is sent, what devices are given, and what a run goes on from."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splitopt.errors import InfeasibleError, InputError
from splitopt.plans import Plan
from tests.iotsl.conftest import scenario

pytestmark = pytest.mark.train


def shard(folder: Path, name: str) -> dict[str, np.ndarray[Any, Any]]:
    with np.load(folder / f"{name}.npz") as found:
        return dict(found)


@pytest.mark.slow
def test_every_device_has_every_class_in_the_end(finished: Any) -> None:
    _, run = finished
    for name, own in (("a", 20), ("b", 20), ("c", 10)):
        before = np.bincount(shard(run.folder / "data", name)["y"], minlength=10)
        after = np.bincount(shard(run.folder / "imputed", name)["y"], minlength=10)
        assert set(before[before > 0]) == {own}
        assert after.tolist() == [own] * 10  # its mean per class, of each class that it lacked
        kept = shard(run.folder / "imputed", name)["x"][: before.sum()]
        assert (kept == shard(run.folder / "data", name)["x"]).all()


@pytest.mark.slow
def test_no_sample_stands_on_two_devices(finished: Any) -> None:
    _, run = finished
    rows = [row.tobytes() for name in "abc" for row in shard(run.folder / "data", name)["x"]]
    assert len(rows) == 150
    assert len(set(rows)) >= 149  # digits holds a picture twice at most


def test_bytes_that_were_sent_are_those_of_the_files_and_of_the_plan(finished: Any) -> None:
    from safetensors.numpy import load_file

    _, run = finished
    sizes = {
        name: sum(
            v.nbytes for v in load_file(run.folder / f"generators/{name}.safetensors").values()
        )
        for name in "abc"
    }
    kinds = [(one.kind, one.sender, one.receiver, one.bytes) for one in run.messages]
    for name in "abc":
        assert ("generator", name, "server", sizes[name]) in kinds
        assert ("histogram", name, "server", 10 * (8 + 4)) in kinds
    # a lacks what b and c have, b what a and c have, c what a and b have: all six exchanges
    down = [kind for kind in kinds if kind[0] == "paired_generator"]
    assert sorted(kind[2] for kind in down) == ["a", "a", "b", "b", "c", "c"]
    assert all(one.bytes == one.planned_bytes for one in run.messages)
    seconds = {one.kind: one.planned_s for one in run.messages}
    assert seconds["generator"] == pytest.approx(8 * sizes["a"] / 2e6)
    assert seconds["paired_generator"] == pytest.approx(8 * sizes["a"] / 4e6)


def test_the_pairing_covers_what_each_device_lacks(finished: Any) -> None:
    _, run = finished
    has = {"a": {0, 1, 2}, "b": {3, 4}, "c": {5, 6, 7, 8, 9}}
    transfers = Plan.load(run.folder / "pairing.json").prediction["transfers"]  # type: ignore[index]
    for name, own in has.items():
        taken = [one for one in transfers if one["receiver"] == name]
        assert {label for one in taken for label in one["labels"]} == set(range(10)) - own
        assert all(set(one["labels"]) <= has[one["sender"]] for one in taken)


def test_the_plan_is_for_the_samples_that_devices_have_then(finished: Any) -> None:
    _, run = finished
    plan = Plan.load(run.folder / "plan.json")
    assert [one["samples"] for one in plan.scenario["devices"]] == [200, 200, 100]
    assert "generators" not in plan.scenario


def test_training_begins_with_what_was_pretrained(finished: Any) -> None:
    import torch

    from splitopt.iotsl import steps
    from splitopt.training.model_parts.weights_file import read_tensors
    from splitopt.training.preparing.prepare import prepare

    job, run = finished
    setting = steps.Setting(job, run, None, None, None, print)  # type: ignore[arg-type]
    object.__setattr__(setting.folder, "path", run.folder)
    begun = prepare(steps.tuning(setting, "imputed", run.plan, True)).scheme.model.state_dict()
    stored = read_tensors(run.folder / "pretrained.safetensors")
    assert all(torch.equal(begun[name], value) for name, value in stored.items())
    assert run.pretrained == pytest.approx(run.to_dict()["pretrained_accuracy"])


def test_each_step_is_counted(finished: Any) -> None:
    """FLOP of generators by the arithmetic of their layers, bytes of messages, J without powers."""
    from splitopt.generators import NetworkSpec, work_of

    _, run = finished
    steps = {row["step"]: row for row in run.to_dict()["steps"]}
    work = work_of(NetworkSpec("small", (1, 8, 8), 10, 10))
    flop = 3 * 32 * (5 * work.critic_step_flop + work.generator_step_flop)
    assert steps["train generators"]["device_flop"] == pytest.approx(3 * flop)
    assert steps["train generators"]["seconds"] == pytest.approx(flop / 1e6)  # c, the slowest
    assert steps["pair and impute"]["bytes"] == 6 * work.payload_bytes
    made = 7 * 20 + 8 * 20 + 5 * 10
    assert steps["pair and impute"]["device_flop"] == pytest.approx(made * work.sample_flop)
    tuned = steps["fine-tune"]
    assert tuned["bytes"] == sum(run.tuned.history.traffic_bytes().values())
    assert tuned["seconds"] == run.tuned.history.clock_s
    assert not any(row["device_j"] for row in steps.values())  # the devices state no powers


@pytest.mark.slow
def test_ctrl_c_in_a_training_is_gone_on_from(finished: Any, tmp_path: Path) -> None:
    """Interrupted after the first round, tested after the second only: the same end."""
    from splitopt.iotsl import run_iotsl
    from splitopt.training.schedule import Schedule

    job, run = finished
    place, schedule = tmp_path / "broken", Schedule(evaluate_every=2)
    shutil.copytree(run.folder, place)
    shutil.rmtree(place / "checkpoints" / "tuning")

    def interrupt(step: str, what: str, done: int, of: int) -> None:
        if step == "tuning":
            assert (done, of) == (1, 2)
            assert "accuracy" not in what
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_iotsl(job, place, schedule, resume=True, progress=interrupt)
    again = run_iotsl(job, place, schedule, resume=True)
    assert (place / "model.safetensors").read_bytes() == (
        run.folder / "model.safetensors"
    ).read_bytes()
    assert [row.accuracy is None for row in again.tuned.history] == [True, False]


def test_a_generator_of_another_label_set(finished: Any, tmp_path: Path) -> None:
    from splitopt.iotsl import run_iotsl

    job, run = finished
    place = tmp_path / "mixed"
    shutil.copytree(run.folder, place)
    shutil.copy(place / "generators/a.safetensors", place / "generators/b.safetensors")
    with pytest.raises(InputError, match=r"is of another label set: it makes \[0, 1, 2\]"):
        run_iotsl(job, place, resume=True)


@pytest.mark.slow
def test_a_run_that_was_ended_goes_on_to_the_same_end(finished: Any, tmp_path: Path) -> None:
    from splitopt.iotsl import run_iotsl

    job, run = finished
    place = tmp_path / "again"
    shutil.copytree(run.folder, place)
    for lost in ("model.safetensors", "plan.json", "pairing.json", "generators/b.safetensors"):
        (place / lost).unlink()
    shutil.rmtree(place / "imputed")
    shutil.rmtree(place / "checkpoints" / "tuning")
    with pytest.raises(InputError, match="holds a run already; go on with it by --resume"):
        run_iotsl(job, place)
    again = run_iotsl(job, place, resume=True)
    for file in ("model.safetensors", "imputed/b.npz", "generators/b.safetensors"):
        assert (place / file).read_bytes() == (run.folder / file).read_bytes(), file
    for file in ("plan.json", "pairing.json"):
        assert Plan.load(place / file).decision == Plan.load(run.folder / file).decision
    assert again.tuned.history.rows == run.tuned.history.rows
    with pytest.raises(InputError, match="another run: seed is 0 there and 1 here"):
        run_iotsl(replace(job, seed=1), place, resume=True)
    changed = json.loads((place / "run.json").read_text())
    changed["identity"]["seed"] = 2
    (place / "run.json").write_text(json.dumps(changed))
    with pytest.raises(InputError, match="does not match its digest"):
        run_iotsl(job, place, resume=True)
    with pytest.raises(InputError, match="there is no run to go on with"):
        run_iotsl(job, tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.slow
def test_a_device_without_a_generator_is_given_samples_and_gives_none(tmp_path: Path) -> None:
    from splitopt.generators import GeneratorOptions
    from splitopt.iotsl import IotslJob, run_iotsl

    own = scenario(
        classes={"a": [0, 1], "b": [0, 1, 2], "c": [2]}, generates={"b": []}, labels=[0, 1, 2]
    )
    job = IotslJob(own, generators=GeneratorOptions(steps=1), pretrain_epochs=0)
    run = run_iotsl(job, tmp_path / "run", progress=None)
    assert run.pretrained is None
    assert not (run.folder / "generators" / "b.safetensors").exists()
    assert [row.received for row in run.devices] == [("c",), (), ("a",)]
    assert run.devices[1].quality == (0.0,) * 10
    assert not run.devices[2].judged  # with one class there is nothing to tell apart
    assert run.devices[2].quality[2] == 1.0


@pytest.mark.slow
def test_what_cannot_be_had_is_named(tmp_path: Path) -> None:
    from splitopt.generators import GeneratorOptions
    from splitopt.iotsl import IotslJob, run_iotsl

    own = scenario(classes={"a": [0, 1], "b": [0, 1, 2], "c": [2]}, labels=[0, 1, 2, 7])
    job = IotslJob(own, generators=GeneratorOptions(steps=1), pretrain_epochs=0)
    with pytest.raises(InfeasibleError, match="7"):
        run_iotsl(job, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["splitfed_v1", "vanilla", "splitfed_v2", "federated"])
def test_processes_leave_the_same_files_as_one_process(
    finished: Any, tmp_path: Path, scheme: str
) -> None:
    from splitopt.iotsl import run_iotsl
    from splitopt.training.wire.setting import WireOptions

    job, run = finished
    if scheme != job.scheme:
        job = replace(job, scheme=scheme)
        run = run_iotsl(job, tmp_path / "alone")
    wired = run_iotsl(job, tmp_path / "wired", wire=WireOptions(time_scale=0.02, any_speed=True))
    names = ["model.safetensors", "pretrained.safetensors"]
    names += [f"{place}/{n}.npz" for place in ("data", "imputed") for n in ("a", "b", "c", "test")]
    names += [f"generators/{name}.safetensors" for name in "abc"]
    for name in names:
        assert (wired.folder / name).read_bytes() == (run.folder / name).read_bytes(), name
    assert sorted((one.kind, one.sender, one.receiver, one.bytes) for one in wired.messages) == (
        sorted((one.kind, one.sender, one.receiver, one.bytes) for one in run.messages)
    )
    assert wired.tuned.history.rows == run.tuned.history.rows
    for one in wired.messages:  # a link is never faster than planned
        assert one.measured_s is not None
        assert one.measured_s >= 0.9 * one.planned_s


@pytest.mark.slow
def test_what_a_run_has_measured_says_whether_it_pays(tmp_path: Path) -> None:
    """The epochs are those of the two trainings; FLOP and bytes are counted by hand."""
    from splitopt.generators import GeneratorOptions, NetworkSpec, work_of
    from splitopt.iotsl import IotslJob, run_iotsl
    from splitopt.planning.planner import plan
    from splitopt.scenario import Scenario

    options = GeneratorOptions(steps=3)
    job = IotslJob(scenario(), generators=options, pretrain_epochs=1)
    run = run_iotsl(job, tmp_path / "run", plain=True)
    assert run.plain is not None
    best = [max(row.accuracy for row in one.history) for one in (run.tuned, run.plain)]
    target = min(best)
    whole = run.whole
    assert whole["target"] == pytest.approx(target)
    rounds = [
        next(row.round for row in one.history if row.accuracy >= target)
        for one in (run.plain, run.tuned)
    ]
    assert [whole["turns_without"], whole["turns_with"]] == [3 * one for one in rounds]
    work = work_of(NetworkSpec("small", (1, 8, 8), 10, 10))
    first = whole["ways"][0]["steps"][0]
    each = 32 * (5 * work.critic_step_flop + work.generator_step_flop)
    assert first["name"] == "train generators"
    assert first["cost"]["device_flop"] == pytest.approx(3 * 3 * each)
    assert first["cost"]["seconds"] == pytest.approx(3 * each / 1e6)  # the slowest decides
    saved = Plan.load(tmp_path / "run" / "pays.json")
    again = plan(Scenario.from_dict(dict(saved.scenario)), problem="generator_pairing")
    assert again.prediction == saved.prediction


@pytest.mark.slow
def test_a_device_that_cannot_go_on_ends_the_exchange_by_name(tmp_path: Path) -> None:
    from splitopt.errors import TrainingError
    from splitopt.generators import GeneratorOptions
    from splitopt.iotsl import IotslJob, run_iotsl
    from splitopt.training.wire.setting import WireOptions

    job = IotslJob(scenario(), scheme="splitfed_v1", generators=GeneratorOptions(steps=50, lr=1e30))
    with pytest.raises(TrainingError, match=r"^[abc]: the generator is not finite any more"):
        run_iotsl(job, tmp_path / "run", wire=WireOptions(any_speed=True))
