"""From a model and data, as a user names them, to a table of leakage."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from splitopt.errors import InputError, shown
from splitopt.privacy.leakage.measuring import Attacker, Chosen, Progress
from splitopt.privacy.leakage.settings import RECONSTRUCTIONS, LeakageSettings
from splitopt.privacy.leakage.store import Store
from splitopt.privacy.leakage.table import LeakageTable, check_same_model
from splitopt.profiles import ModelProfile
from splitopt.profiles.tracing import trace
from splitopt.profiles.tracing.cuts.finding import Stages
from splitopt.profiles.tracing.result import TracedModel
from splitopt.training.data import DataSet, load_data
from splitopt.training.data.named import Inputs, Named
from splitopt.training.preparing.fitting import check_outputs, fitted, seen_as_one_tensor
from splitopt.training.preparing.prepare import is_shipped, make_module
from splitopt.training.rounds.evaluate import evaluate
from splitopt.training.tasks import Task, task_of
from splitopt.training.wire.compute import one_thread

_BATCH = 32
_RATE = 0.05
_MOMENTUM = 0.9
SHOWN = 4
"""Samples whose reconstructions are kept to be shown."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A table of leakage, and what it was made from.

    Parameters
    ----------
    table
        The leakage of each cut.
    profile
        Of the model, to put the leakage into.
    originals
        Shape (n, ...): the first samples that were attacked.
    pictures
        (cut, attack, view) -> their reconstructions as flat lists.
    """

    table: LeakageTable
    profile: ModelProfile
    originals: Tensor
    pictures: dict[tuple[int, str, str], list[list[float]]]


def measured(
    model: nn.Module | str,
    data: object,
    cuts: Sequence[int | str] | None,
    settings: LeakageSettings,
    task: Task | str = "classification",
    stages: Stages | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
    named: str | None = None,
    into: ModelProfile | None = None,
) -> Measured:
    """Measure the leakage of a model; see `splitopt.privacy.leakage_table`.

    Parameters
    ----------
    named
        How a command line named the model, for its profile.
    into
        A profile that the leakage is for; one of another model is refused before any attack.
    """
    store = Store(cache)
    own = task_of(task)
    loaded = _loaded(data, own, settings)
    module, name = make_module(model, loaded, settings.seed)
    loaded = fitted(module, loaded)
    module = seen_as_one_tensor(module, loaded.train_inputs[:2])
    check_outputs(module, loaded, own)
    traced = _traced(module, _tensor(loaded.train_inputs)[:2], name, stages, into)
    if named is not None:
        traced = traced.named(named, loaded.outputs if model == named else None)
    numbers = _numbers(cuts, traced)
    chosen = _chosen(loaded, settings)
    settings = _possible(settings, own, len(chosen.members))
    with one_thread():
        if settings.epochs:
            module = _trained(module, loaded, own, settings)
        attacker = Attacker(
            module,
            lambda part, cut: traced.segments([cut], part),
            own.loss,
            chosen,
            settings,
            store,
            shown=min(SHOWN, settings.samples),
        )
        _check_attackable(attacker, numbers, traced)
        rows = attacker.run(traced.profile.layers, numbers, progress)
        score = evaluate(module, loaded.test_inputs, loaded.test_targets, own)
    mean = _tensor(loaded.train_inputs).double().mean(dim=0).to(chosen.samples.dtype)
    table = LeakageTable(
        name,
        traced.profile.layers,
        tuple(traced.profile.device_model_bytes.tolist()),
        loaded.name,
        loaded.digest(),
        _weights(model, settings),
        settings.to_dict(),
        tuple(rows),
        attacker.baselines(mean),
        score.accuracy,
    )
    originals = chosen.samples[: attacker.shown]
    return Measured(table, traced.profile, originals, attacker.pictures)


def _loaded(data: object, own: Task, settings: LeakageSettings) -> DataSet:
    """Return the data of a task; raise `InputError` where an attack cannot search among them."""
    loaded = load_data(data, seed=settings.seed, targets=own.targets, collate=own.collate)  # type: ignore[arg-type]
    if isinstance(loaded.train_inputs, Named) or not loaded.train_inputs.is_floating_point():
        raise InputError.at(
            "data",
            f"{loaded.name} holds whole numbers, such as tokens, or several inputs, and attacks "
            "search among numbers that can change little by little; take data with one input of "
            "floating-point numbers",
        )
    return loaded


def _traced(
    module: nn.Module, example: Tensor, name: str, stages: Stages | None, into: ModelProfile | None
) -> TracedModel:
    """Trace a model, with all its cuts where the profile that the leakage is for has them all."""
    traced = trace(module, example, name=name, stages=stages)
    if into is None:
        return traced
    if len(into.layers) > len(traced.profile.layers):
        traced = trace(module, example, name=name, stages=stages, keep_all=True)
    found = traced.profile
    check_same_model(name, found.layers, found.device_model_bytes.tolist(), into)
    return traced


def _weights(model: nn.Module | str, settings: LeakageSettings) -> str:
    """Describe which weights are attacked; those of a user's factory may be anything."""
    if settings.epochs:
        return f"weights after {settings.epochs} epochs"
    return "untrained weights" if is_shipped(model) else "weights as given"


def _possible(settings: LeakageSettings, task: Task, inferences: int) -> LeakageSettings:
    """Return the settings as they can be carried out with this task and so many samples.

    Raises
    ------
    InputError
        Nothing is left to be done.
    """
    attacks = tuple(
        name for name in settings.attacks if name != "label_inference" or task.targets.are_labels
    )
    if not attacks:
        raise InputError.at(
            "attacks", f"label_inference needs a label for each sample, and {task.name} has none"
        )
    return replace(settings, attacks=attacks, inferences=inferences)


def _tensor(inputs: Inputs) -> Tensor:
    assert isinstance(inputs, Tensor)  # several inputs were refused
    return inputs


def _numbers(cuts: Sequence[int | str] | None, traced: TracedModel) -> list[int]:
    names = traced.cuts
    if cuts is None:
        return list(range(1, len(names) + 1))
    found = []
    for cut in cuts:
        if isinstance(cut, str) and cut in names:
            found.append(names.index(cut) + 1)
        elif isinstance(cut, int) and not isinstance(cut, bool) and 1 <= cut <= len(names):
            found.append(cut)
        else:
            raise InputError.at(
                "cuts",
                f"{shown(cut)} is none of {traced.profile.name}; give numbers from 1 to "
                f"{len(names)}, or names among {', '.join(names[:12])}",
            )
    return sorted(set(found))


def _check_attackable(attacker: Attacker, cuts: Sequence[int], traced: TracedModel) -> None:
    """Reject a model whose last parts have nothing whose gradient could be matched."""
    if "gradient_matching" not in attacker.settings.attacks:
        return
    for cut in cuts:
        server = attacker.parts(copy.deepcopy(attacker.module), cut)[1]
        if not any(own.requires_grad for own in server.parameters()):
            raise InputError.at(
                "attacks",
                f"gradient_matching needs trained parameters behind the cut, and behind "
                f"{traced.profile.layers[cut - 1]} there are none; leave that cut out, or take "
                f"{', '.join(name for name in RECONSTRUCTIONS if name != 'gradient_matching')}",
            )


def _chosen(data: DataSet, settings: LeakageSettings) -> Chosen:
    """Return the samples of the attacks, in a random order by the seed."""
    generator = torch.Generator().manual_seed(settings.seed)
    order = torch.randperm(len(data.train_targets), generator=generator)
    if settings.samples > len(order):
        raise InputError.at(
            "samples", f"is {settings.samples}, but {data.name} has {len(order)} training samples"
        )
    test = torch.randperm(len(data.test_targets), generator=generator)
    count = min(settings.inferences, len(order), len(test))
    rows, members, others = order[: settings.samples], order[:count], test[:count]
    values = _tensor(data.train_inputs)
    low, high = float(values.min()), float(values.max())
    if not low < high:
        raise InputError.at(
            "data", f"{data.name} holds one value only; there is nothing to recover"
        )
    return Chosen(
        values[rows],
        data.train_targets[rows],
        values[members],
        data.train_targets[members],
        _tensor(data.test_inputs)[others],
        data.test_targets[others],
        low,
        high,
    )


def _trained(module: nn.Module, data: DataSet, task: Task, settings: LeakageSettings) -> nn.Module:
    """Return a copy that was trained as a whole: SGD with momentum on shuffled batches."""
    own = copy.deepcopy(module).train()
    wanted = [parameter for parameter in own.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(wanted, lr=_RATE, momentum=_MOMENTUM)
    with torch.random.fork_rng([]):
        torch.manual_seed(settings.seed)
        for _ in range(settings.epochs):
            for rows in torch.split(torch.randperm(len(data.train_targets)), _BATCH):
                if len(rows) < 2:
                    continue  # a normalisation of batches cannot take a single sample
                optimizer.zero_grad()
                loss = task.loss(own(data.train_inputs[rows]), data.train_targets[rows])
                torch.autograd.backward(loss)
                optimizer.step()
    return own.eval()
