"""The steps of IoTSL's Algorithm 1, each from the files of the steps before to files of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from splitopt.errors import InfeasibleError, InputError
from splitopt.generators import GeneratorWork, TrainedGenerator
from splitopt.iotsl.device import Learning, Order, Samples, Told, generated, images_of
from splitopt.iotsl.fleet import as_found, trained_on, with_samples
from splitopt.iotsl.folder import RunFolder, read_samples
from splitopt.iotsl.histograms import imputed_amount, known
from splitopt.iotsl.job import IotslJob
from splitopt.iotsl.shares import Counts, histogram, shares_of
from splitopt.plans import Plan
from splitopt.scenario import Scenario
from splitopt.training.data import DataSet, load_data
from splitopt.training.data.shards import save_shards
from splitopt.training.history import RoundRow
from splitopt.training.job import TrainingJob
from splitopt.training.preparing.prepare import prepare
from splitopt.training.runner import Run, train_job
from splitopt.training.schedule import Schedule
from splitopt.training.turns import seed_of
from splitopt.training.wire.job import check_job
from splitopt.training.wire.setting import WireOptions

_PRETRAINING = 0x1075
"""What the seed of the generated samples at the server is for."""
Learned = tuple[TrainedGenerator | None, Told]
"""The generator of a device, if it has one, and what the device tells."""
Progress = Callable[[str, str, int, int], object]
"""Called with the step, what it works on, how much of that is done, and how much there is."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What all steps of a run share.

    Parameters
    ----------
    job
        What was asked for.
    folder
        Where the run keeps what it has.
    data
        All data.
    counts
        Shape (D, C): the samples of each class on each device.
    work
        Of a generator, by its network.
    progress
        Told of what is done.
    """

    job: IotslJob
    folder: RunFolder
    data: DataSet
    counts: Counts
    work: GeneratorWork
    progress: Progress

    @property
    def planned_bytes(self) -> int:
        """Bytes of a generator, by its network."""
        return self.work.payload_bytes

    @property
    def scenario(self) -> Scenario:
        """The fleet, with the section of its generators."""
        return self.job.scenario

    @property
    def names(self) -> list[str]:
        """Names of the devices."""
        return [device.name for device in self.scenario.fleet()]

    @property
    def classes(self) -> int:
        """How many classes the data has."""
        assert self.data.classes is not None  # labels have classes
        return self.data.classes

    @property
    def learning(self) -> list[Learning]:
        """What each device is to learn."""
        job = self.job
        return [
            Learning(self.classes, job.generators, job.histogram_epsilon, job.seed, labels)
            for labels in trained_on(self.scenario, self.classes)
        ]

    def own(self) -> list[Samples]:
        """Return the samples of each device."""
        return read_samples(self.folder.path / "data", self.names)


@dataclass(frozen=True, eq=False)
class Shares:
    """All data, and the rows of each device in it."""

    data: DataSet
    rows: list[Tensor]

    @property
    def counts(self) -> Counts:
        """Shape (D, C): the samples of each class on each device."""
        assert self.data.classes is not None  # labels have classes
        targets = [self.data.train_targets[own] for own in self.rows]
        return np.stack([histogram(own, self.data.classes) for own in targets])

    def save(self, folder: RunFolder, names: list[str]) -> None:
        """Write the share of each device, where only that device reads it."""
        save_shards(folder.place("data"), self.data, names, self.rows)


def shared(job: IotslJob, wired: bool) -> Shares:
    """Load the data and share it out, and check that everything fits, before anything is written.

    Parameters
    ----------
    job
        What was asked for.
    wired
        Whether the split training is to run over connections.

    Raises
    ------
    InputError
        Data, model, scheme or shares do not fit each other.
    InfeasibleError
        There is no plan.
    """
    data = load_data(job.data, seed=job.seed)
    images_of(data.train_inputs, data.name)
    found = Shares(data, shares_of(job.scenario, data, job.partition, job.samples, job.seed))
    sizes = [len(own) for own in found.rows]
    if not min(sizes):
        name = job.scenario.fleet()[sizes.index(0)].name
        raise InputError.at("generators", f"give {name} no sample; leave the device out")
    training = TrainingJob(
        split_plan(job, sizes),
        job.model,
        data,
        "iid",
        samples="data",
        options=job.options,
        seed=job.seed,
        device=job.device,
        source=job.source,
    )
    if wired:
        check_job(training, Schedule())
    prepare(training)
    return found


def seen_counts(setting: Setting, learned: list[Learned]) -> Counts:
    """Shape (D, C): the counts of each device as the server knows them."""
    section = setting.scenario.generators
    of_all = section is None or section.generates is None
    rows = [
        known(told.counts, None if own is None else own.labels, of_all=of_all)
        for own, told in learned
    ]
    return np.stack(rows)


def pretrain(setting: Setting, learned: list[Learned], counts: Counts) -> Run | None:
    """Train the whole model at the server on samples of all generators.

    Each generator makes as many samples of each class as its device tells that it has. The weights
    are written into ``pretrained.safetensors``.

    Returns
    -------
    The training, tested on real data; None where there are to be no epochs.
    """
    job, folder = setting.job, setting.folder
    if not job.pretrain_epochs:
        return None
    made, names = [], []
    for number, (name, row) in enumerate(zip(setting.names, counts, strict=True)):
        setting.progress("pretraining set", name, number, len(setting.names))
        if (generator := learned[number][0]) is None:
            continue
        labels = Order(name, {c: int(row[c]) for c in generator.labels}).labels()
        made.append(generated(generator, labels, seed_of(job.seed, number, _PRETRAINING)))
        names.append(name)
    if not made:
        raise InfeasibleError(
            "no device has a generator, so that there is nothing to pre-train with; take "
            "--pretrain-epochs 0, or let some device have one"
        )
    plan = split_plan(job, setting.counts.sum(axis=1).tolist())
    training = TrainingJob(
        plan,
        job.model,
        replace(
            setting.data,
            name=f"samples of {len(names)} generators",
            train_inputs=torch.cat([one.inputs for one in made]),
            train_targets=torch.cat([one.targets for one in made]),
        ),
        "iid",
        samples="data",
        scheme="centralized",
        options=replace(job.options, codec="none", gradient_codec=None),
        seed=job.seed,
        device=job.device,
        source=job.source,
    )
    run = trained(setting, training, Schedule(rounds=job.pretrain_epochs), "pretraining")
    run.save_model(folder.path / "pretrained.safetensors")
    return run


def exchange_of(setting: Setting, counts: Counts, told: list[Told]) -> Scenario:
    """Return the scenario in which `GeneratorPairing` asks for the exchange.

    Raises
    ------
    InfeasibleError
        A device tells of no class at all.
    """
    quality = np.stack([one.quality for one in told])
    return as_found(setting.scenario, counts, quality, setting.planned_bytes)


def pair(setting: Setting, asked: Scenario) -> Plan:
    """Plan whose generators go to which device, and write the plan as ``pairing.json``.

    Raises
    ------
    InfeasibleError
        A class that a device lacks cannot be had; the message names it.
    """
    from splitopt.planning.planner import plan

    found = plan(asked, problem="generator_pairing", seed=setting.job.seed)
    if not found.is_feasible:
        raise InfeasibleError(str(found.result["message"]))
    found.save(setting.folder.path / "pairing.json")
    return found


def orders_of(setting: Setting, pairing: Plan, counts: Counts) -> list[list[Order]]:
    """Return what each device makes of the generators that it receives.

    Of each class that it lacks it makes as many samples as it has of a class in the mean, in equal
    parts by the generators that it takes them from.
    """
    assert pairing.prediction is not None  # the caller saw to it
    places = {name: i for i, name in enumerate(setting.names)}
    found: list[list[Order]] = [[] for _ in setting.names]
    sources: list[dict[int, int]] = [{} for _ in setting.names]
    transfers = pairing.prediction["transfers"]
    for one in transfers:
        for label in one["labels"]:
            own = sources[places[one["receiver"]]]
            own[int(label)] = own.get(int(label), 0) + 1
    begun: dict[tuple[int, int], int] = {}
    for one in transfers:
        i, amounts = places[one["receiver"]], {}
        for label in map(int, one["labels"]):
            wanted = max(0, imputed_amount(counts[i]) - int(counts[i, label]))
            place, of = begun.get((i, label), 0), sources[i][label]
            begun[i, label] = place + 1
            amounts[label] = wanted // of + (place < wanted % of)
        found[i].append(Order(one["sender"], amounts))
    return found


def split_plan(job: IotslJob, samples: list[int]) -> Plan:
    """Plan the split training of the fleet with so many samples on each device.

    Raises
    ------
    InfeasibleError
        There is no plan.
    """
    from splitopt.planning.planner import plan

    found = plan(with_samples(job.scenario, samples), scheme=job.scheme, seed=job.seed)
    if not found.is_feasible:
        raise InfeasibleError(str(found.result["message"]))
    return found


def tuning(setting: Setting, place: str, plan: Plan, pretrained: bool) -> TrainingJob:
    """Return the split training with the shares in one of the folders of the run."""
    job, weights = setting.job, setting.folder.path / "pretrained.safetensors"
    return TrainingJob(
        plan,
        job.model,
        str(setting.folder.path / place),
        partition="own",
        samples="data",
        options=job.options,
        seed=job.seed,
        device=job.device,
        source=job.source,
        initial_weights=weights if pretrained else None,
    )


def trained(
    setting: Setting,
    job: TrainingJob,
    schedule: Schedule,
    step: str,
    wire: WireOptions | None = None,
) -> Run:
    """Train a job, from the checkpoint of the step if it has one.

    Raises
    ------
    InputError
        The checkpoint is of another run.
    KeyboardInterrupt
        Ctrl-C; what is done is in the checkpoint.
    """
    from splitopt.training.saving.checkpoint import exists

    place = setting.folder.path / "checkpoints" / step
    place.parent.mkdir(exist_ok=True)
    own = replace(schedule, checkpoint=place, resume=exists(place))

    def tell(row: RoundRow, rounds: int) -> None:
        tested = "" if row.accuracy is None else f", accuracy {row.accuracy:.3f}"
        setting.progress(step, f"loss {row.loss:.3f}{tested}", row.round, rounds)

    if wire is None:
        run = train_job(job, own, tell)
    else:
        from splitopt.training.wire.launch import run_job

        run = run_job(job, own, wire, tell)
    if run.stopped == "interrupted":
        raise KeyboardInterrupt
    return run
