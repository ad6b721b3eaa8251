"""The whole of IoTSL: generators, pre-training, imputation, split training (Algorithm 1).

Its slips are mended: a round counts up, the first device has one turn in it, the pre-trained part
of the server is used, and one generator is sent where one is enough.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from splitopt.errors import InputError
from splitopt.generators import NetworkSpec, TrainedGenerator, membership_of, work_of
from splitopt.iotsl import steps
from splitopt.iotsl.device import Order, Samples, images_of
from splitopt.iotsl.exchange import Exchange, LocalExchange
from splitopt.iotsl.folder import RunFolder, read_samples
from splitopt.iotsl.job import IotslJob
from splitopt.iotsl.paying import costs_of, paying_plan
from splitopt.iotsl.result import DeviceRow, IotslRun
from splitopt.iotsl.shares import Counts
from splitopt.plans import digest
from splitopt.training.data.shards import TEST, save_shard
from splitopt.training.runner import Run
from splitopt.training.schedule import Schedule
from splitopt.training.wire.setting import WireOptions


def run_job(
    job: IotslJob,
    folder: str | Path,
    schedule: Schedule,
    resume: bool,
    plain: bool,
    wire: WireOptions | None,
    progress: steps.Progress | None,
) -> IotslRun:
    """Run IoTSL on a fleet, see `splitopt.iotsl.run_iotsl`."""
    if schedule.checkpoint is not None:
        raise InputError.at("checkpoint", "is kept in the folder of the run; leave it out")
    shares = steps.shared(job, wired=wire is not None)
    spec = NetworkSpec(
        job.generators.network,
        shares.data.shape,  # type: ignore[arg-type]
        shares.counts.shape[1],
        job.generators.noise,
    )
    with RunFolder(folder, identity_of(job), resume) as kept:
        setting = prepared(job, kept, shares, spec, progress or _silent)
        if wire is None:
            return _run(setting, LocalExchange(setting), schedule, plain, None)
        from splitopt.iotsl.wire.launch import exchange

        with exchange(setting, wire.time_scale or 0.0, wire.join_s) as server:
            return _run(setting, server, schedule, plain, wire)


def prepared(
    job: IotslJob,
    kept: RunFolder,
    shares: steps.Shares,
    spec: NetworkSpec,
    progress: steps.Progress,
) -> steps.Setting:
    """Write the shares, unless they are there, and return what all steps have in common."""
    counts, data = shares.counts, shares.data
    found = {"counts": counts.tolist(), "digest": data.digest()}
    if kept.steps.get("data", found) != found:
        raise InputError.at(
            "data",
            f"{data.name} is not what it was when {kept.path} was begun; take another folder",
        )
    if "data" not in kept.steps:
        shares.save(kept, [device.name for device in job.scenario.fleet()])
        kept.done("data", found)
    return steps.Setting(job, kept, data, counts, work_of(spec), progress)


def _run(
    setting: steps.Setting,
    exchange: Exchange,
    schedule: Schedule,
    plain: bool,
    wire: WireOptions | None,
) -> IotslRun:
    folder = setting.folder.path
    learned = exchange.receive_all()
    counts = steps.seen_counts(setting, learned)
    pretrained = steps.pretrain(setting, learned, counts)
    pairing = None
    orders: list[list[Order]] = [[] for _ in setting.names]
    own = setting.counts.sum(axis=1).tolist()
    place, samples = "data", own
    asked = steps.exchange_of(setting, counts, [told for _, told in learned])
    if setting.job.impute:
        pairing = steps.pair(setting, asked)
        orders = steps.orders_of(setting, pairing, counts)
        place, samples = "imputed", exchange.send_all(orders)
        images = images_of(setting.data.test_inputs, setting.data.name)
        test = Samples(images, setting.data.test_targets)
        save_shard(folder / place / f"{TEST}.npz", *test, setting.classes)
    plan = steps.split_plan(setting.job, samples)
    plan.save(folder / "plan.json")
    job = steps.tuning(setting, place, plan, pretrained is not None)
    tuned = steps.trained(setting, job, schedule, "tuning", wire)
    tuned.save_model(folder / "model.safetensors")
    without = _without(setting, own, schedule) if plain else None
    pays = None
    if without is not None and (setting.job.impute or counts.all()):
        histories = tuned.history, without.history
        pays = paying_plan(setting.job, asked, own, setting.work, histories)
        if pays is not None:
            pays.save(folder / "pays.json")
    costs = costs_of(setting.job, asked, own, setting.work, pairing, tuned.history)
    run = IotslRun(
        folder,
        setting.data.name,
        device_rows(setting, counts, learned, orders),
        tuple(exchange.messages),
        None if pretrained is None else pretrained.history.rows[-1].accuracy,
        pairing,
        plan,
        tuned,
        without,
        pays,
        tuple(costs),
    )
    run.save(folder / "result.json")
    return run


def _without(setting: steps.Setting, samples: list[int], schedule: Schedule) -> Run:
    """Train the same fleet from the same seed without generators."""
    plan = steps.split_plan(setting.job, samples)
    job = steps.tuning(setting, "data", plan, False)
    return steps.trained(setting, job, schedule, "without generators")


def device_rows(
    setting: steps.Setting,
    counts: Counts,
    learned: list[steps.Learned],
    orders: list[list[Order]],
) -> tuple[DeviceRow, ...]:
    """Return what the run says of each device."""
    made = np.zeros_like(setting.counts)
    for i, own in enumerate(orders):
        for order in own:
            for label, count in order.amounts.items():
                made[i, label] += count
    return tuple(
        DeviceRow(
            name,
            tuple(setting.counts[i].tolist()),
            tuple(counts[i].tolist()),
            tuple(float(share) for share in learned[i][1].quality),
            (made_by := learned[i][0]) is not None and made_by.quality is not None,
            None if made_by is None else made_by.account.epsilon,
            _membership(setting, i, made_by),
            tuple(dict.fromkeys(order.sender for order in orders[i])),
            tuple(made[i].tolist()),
        )
        for i, name in enumerate(setting.names)
    )


def _membership(
    setting: steps.Setting, number: int, generator: TrainedGenerator | None
) -> float | None:
    """Return how well samples of a sanitised generator can be told, None for any other one.

    It takes the samples of the device and those to test with, which whoever runs the whole on one
    machine has.
    """
    if generator is None or generator.account.delta is None:
        return None
    own = read_samples(setting.folder.path / "data", [setting.names[number]])[0]
    data, labels = setting.data, torch.tensor(generator.labels)
    members, tested = torch.isin(own.targets, labels), torch.isin(data.test_targets, labels)
    if not bool(tested.any()):
        return None
    others = images_of(data.test_inputs, data.name)[tested], data.test_targets[tested]
    found = membership_of(generator, (own.inputs[members], own.targets[members]), others)
    return found.auc_by_distance


def identity_of(job: IotslJob) -> dict[str, Any]:
    """Return JSON-ready data that names a run: two runs with the same one do the same."""
    model = job.model
    return {
        "scenario": digest(job.scenario.to_dict()),
        "data": job.data if isinstance(job.data, str) else "given",
        "partition": job.partition,
        "samples": job.samples,
        "model": model if isinstance(model, str | None) else type(model).__name__,
        "scheme": job.scheme,
        "generators": job.generators.identity(),
        "histogram_epsilon": job.histogram_epsilon,
        "pretrain_epochs": job.pretrain_epochs,
        "impute": job.impute,
        "options": job.options.identity(),
        "seed": job.seed,
    }


def _silent(step: str, what: str, done: int, of: int) -> None:
    del step, what, done, of
