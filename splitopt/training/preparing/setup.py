"""From a program, a model and data to clients and a scheme.

Every process of a training, be it one or many, calls the same functions with the same seed, so that
batches and random numbers are the same everywhere.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.errors import InputError, SplitoptError, shown
from splitopt.profiles.tracing.cuts.finding import HOW_TO_DECLARE
from splitopt.profiles.tracing.cuts.packing import Layout
from splitopt.profiles.tracing.split import SplitModel
from splitopt.training.data import DataSet
from splitopt.training.data.batches import Batches
from splitopt.training.data.partition import Samples
from splitopt.training.data.partition import partition as partition_rows
from splitopt.training.data.positions import Positions
from splitopt.training.data.shards import Elsewhere, Shard
from splitopt.training.model_parts.averaging import statistics_of
from splitopt.training.model_parts.copies import Split
from splitopt.training.options import Options, ServerOrder
from splitopt.training.other_schemes import GRAPH, HOSTED, REPLICAS
from splitopt.training.preparing.graphs import graph_split
from splitopt.training.preparing.matching import cut_numbers
from splitopt.training.preparing.pixel import set_apart, with_noise
from splitopt.training.preparing.private import check_penalty, check_private, guarded
from splitopt.training.preparing.replicas import replica_split
from splitopt.training.privacy.guard import own_losses
from splitopt.training.program import Program
from splitopt.training.randomness import Stream, seed_of
from splitopt.training.remembering.balanced import Balanced
from splitopt.training.schemes import SCHEMES, Client, Scheme
from splitopt.training.schemes.clustered import Clustered
from splitopt.training.schemes.naming import is_own, scheme_of, trained_by
from splitopt.training.tasks import Task
from splitopt.training.tasks.known import CLASSIFICATION
from splitopt.user_code import reason


class Draw(IntEnum):
    """What a seed is for; with the seed of the run it makes one that nothing else has."""

    WEIGHTS = 1
    PARTITION = 2
    BATCHES = 3
    LAYERS = 4
    ORDER = 5
    TESTS = 6


def make_clients(
    program: Program,
    data: DataSet,
    partition: str = "iid",
    seed: int = 0,
    *,
    samples: Samples = "plan",
    device: str | torch.device = "cpu",
    rows: Sequence[Tensor] | None = None,
    positions: Positions | None = None,
) -> list[Client]:
    """Share the training data out, and give every client its batches and random numbers.

    Parameters
    ----------
    program
        Who takes part.
    data
        What is trained with.
    partition
        How the data is shared out, see `splitopt.training.data.partition.partition`.
    seed
        Of the run.
    samples
        ``"plan"``: each client has as many as planned; ``"data"``: all data in these proportions.
    device
        Where the tensors are kept.
    rows
        Of each client, where they are not to be drawn.
    positions
        Of the samples, to cut every batch to its own longest one; None not to.

    Returns
    -------
    Clients in the order of the program. For the scheme ``centralized`` they are merged into one.

    Raises
    ------
    InputError
        Too little data, or a partition that cannot be made of it.
    """
    if rows is None:
        labels = data.train_targets if data.targets.are_labels else data.train_targets.double()
        rows = partition_rows(
            labels,  # whole numbers that are no classes would be taken for labels
            [client.samples for client in program.clients],
            partition,
            seed_of(seed, Draw.PARTITION),
            samples=samples,
            classes=data.classes,
        )
    shares = [
        (plan.name, plan.batch_size, own) for plan, own in zip(program.clients, rows, strict=True)
    ]
    if program.scheme == "centralized":
        sizes = [size for _, size, _ in shares]
        whole = None if None in sizes else max(size for size in sizes if size is not None)
        shares = [("all", whole, torch.cat(list(rows)))]
    chosen = {plan.name: plan for plan in program.clients}
    clients = []
    for index, (name, batch_size, own) in enumerate(shares):
        inputs, targets = data.train_inputs[own].to(device), data.train_targets[own].to(device)
        drawn = seed_of(seed, Draw.BATCHES, index)
        batches = Batches(inputs, targets, batch_size, drawn, positions)
        stream = Stream(seed_of(seed, Draw.LAYERS, index), device)
        client = Client(name, batches, stream)
        if (plan := chosen.get(name)) is not None:
            rank = plan.rank if program.has_ranks else None
            client = replace(client, codecs=plan.codecs, rank=rank)
        clients.append(client)
    return clients


def clients_with(
    program: Program, shard: Shard, seed: int, positions: Positions | None = None
) -> list[Client]:
    """Make the clients in the process of one party, which has its own data and nobody else's."""
    clients = []
    for index, plan in enumerate(program.clients):
        drawn = seed_of(seed, Draw.BATCHES, index)
        if plan.name == shard.name:
            batches = Batches(shard.inputs, shard.targets, plan.batch_size, drawn, positions)
        else:
            batches = Elsewhere(shard, plan.samples, plan.batch_size, drawn, positions)
        clients.append(Client(plan.name, batches, Stream(seed_of(seed, Draw.LAYERS, index))))
    return clients


def check_count(program: Program, name: str, count: int, samples: Samples) -> None:
    """Raise `InputError` if a client has not as many samples as planned, where it should have."""
    planned = {client.name: client.samples for client in program.clients}[name]
    if samples == "plan" and count != planned:
        raise InputError.at(
            f"data of {name}",
            f"has {count} samples where the plan has {planned}; make them equal, or take the "
            "data's with --samples data",
        )


def build_scheme(
    program: Program,
    split: SplitModel,
    clients: Sequence[Client],
    options: Options | None = None,
    seed: int = 0,
    *,
    model: nn.Module | None = None,
    task: Task = CLASSIFICATION,
    kind: type[Scheme] | None = None,
) -> Scheme:
    """Make the scheme that trains a copy of the model as the program says.

    Parameters
    ----------
    program
        The scheme and where everybody cuts.
    split
        The model and its cuts, see `splitopt.training.preparing.matching.match`.
    clients
        From `make_clients`.
    options
        Optimizers and policies; how much clients train in a round is the plan's.
    seed
        Of the run.
    model
        The model to train, a copy of that of `split`; by default one is made.
    task
        What is trained for.
    kind
        The class of the scheme; that of the program's name by default.

    Raises
    ------
    InputError
        A cut that the model does not have, a scheme that cannot be made, or options that contradict
        the plan.
    """
    _check_state(split, options or Options())
    model = copy.deepcopy(split.module) if model is None else model
    if program.scheme == "centralized":
        cuts: list[tuple[int, ...]] = [()] * len(clients)
    else:
        known = {own: cut_numbers(split, own) for own in {c.cuts for c in program.clients}}
        cuts = [known[plan.cuts] for plan in program.clients]
    kind = SCHEMES[program.scheme] if kind is None else kind
    options = round_options(program, options)
    if options.order is None:
        options = replace(options, order=kind.usual_order)
    clients = [replace(client, cuts=own) for client, own in zip(clients, cuts, strict=True)]
    into: Split = Split(split.split, split.state.written, _packed(split))
    if program.plays == GRAPH:
        into = graph_split(program, split)
    elif program.plays == REPLICAS:
        into = replica_split(program, into)
    check_penalty(clients, kind, options)
    clients = oversampled(clients, options)
    noise = with_noise(clients, kind, split, into, options, model)
    into = into if noise is None else noise.into()
    scheme = _made(
        kind,
        model,
        guarded(clients, kind, program, options),
        options,
        into,
        task.loss if options.privacy is None else own_losses(task.loss),
        seed_of(seed, Draw.ORDER),
    )
    scheme.noise = noise
    set_apart(scheme)
    check_private(scheme, into)
    set_groups(scheme, program, 0)
    return scheme


def oversampled(clients: Sequence[Client], options: Options) -> list[Client]:
    """Return clients who draw their classes equally often, if the options say so.

    Raises
    ------
    InputError
        Targets are no labels.
    """
    if options.remembering is None or not options.remembering.oversample:
        return list(clients)
    return [replace(client, batches=Balanced(client.batches)) for client in clients]


def _packed(split: SplitModel) -> dict[int, Layout]:
    """Return the tensors that cross packed in one, by the numbers of cuts."""
    return {split.cuts.index(name) + 1: layout for name, layout in split.layouts.items()}


def with_scheme(
    program: Program, given: str | type[Scheme] | None
) -> tuple[Program, type[Scheme], str]:
    """Return a program as a scheme trains it, the class of that scheme, and whose code it is.

    Raises
    ------
    InputError
        There is no such scheme, or the plan's cuts do not serve it.
    """
    if given is None:
        return program, SCHEMES[program.scheme], ""
    kind, found = scheme_of(given)
    return trained_by(program, kind), kind, found.code


def _made(kind: type[Scheme], *given: Any) -> Scheme:
    """Make a scheme; what somebody else's class raises is an `InputError`."""
    try:
        return kind(*given)
    except Exception as error:
        if is_own(kind) or isinstance(error, SplitoptError):
            raise
        raise InputError.at(
            "scheme", f"{kind.name} cannot be made for this plan ({reason(error)})"
        ) from error


def _check_state(split: SplitModel, options: Options) -> None:
    """Raise `InputError` for what cannot be done with buffers that forward writes."""
    if options.batched and split.state.replaced:
        name = min(split.state.replaced)
        raise InputError.at(
            "batched",
            f"the model makes {name} another tensor in forward, which cannot be done for several "
            "clients at once; write it in place (copy_), or train without",
        )
    if options.batch_norm == "frozen":
        if split.method == "export" and (own := statistics_of(split.module)):
            raise InputError.at(
                "batch_norm",
                f"is 'frozen', but the cuts were found by torch.export, in whose graph {own[0]} is "
                f"written; choose average or local, or {HOW_TO_DECLARE}",
            )
        others = [name for name in sorted(split.state.written) if _is_own(split.module, name)]
        if others:
            raise InputError.at(
                "batch_norm",
                f"is 'frozen', but forward also writes {others[0]}, no statistic of a "
                "normalisation of torch.nn, which goes on; choose average or local",
            )


def _is_own(module: nn.Module, name: str) -> bool:
    """Whether a buffer is that of a module outside torch.nn."""
    owner = type(module.get_submodule(name.rpartition(".")[0]))
    return not owner.__module__.startswith("torch.nn")


def round_options(program: Program, options: Options | None = None) -> Options:
    """Return the options with the local work of the plan.

    In a round of centralized training as many mini-batches are made as all clients make together
    in one of the plan's, so that both see as many samples.

    Raises
    ------
    InputError
        The options state a local work other than the plan's.
    """
    given, default = options or Options(), Options()
    steps = program.local_steps
    if steps is not None and program.scheme == "centralized":
        steps *= len(program.clients)
    planned: dict[str, Any] = {"local_epochs": program.local_epochs, "local_steps": steps}
    if program.aggregation_interval is not None:
        planned["aggregation_interval"] = program.aggregation_interval
    for name, value in planned.items():
        own = getattr(given, name)
        if own not in (value, getattr(default, name)):
            raise InputError.at(name, f"is {own}, the plan says {value}; leave it out")
    by_scheme: dict[str, Any] = {"server_order": _server_order(program, given)}
    if program.plays in HOSTED and given.optimizer_state == "reset":
        by_scheme["optimizer_state"] = "keep"  # a round is one step, and would forget all others
    return replace(given, **planned, **by_step_rule(program, given), **by_scheme)


STEP_RULE = (
    *("optimizer", "learning_rate", "server_learning_rate", "momentum", "weight_decay"),
    *("clip_value", "lr_schedule", "lr_warmup", "optimizer_state", "batch_norm", "weights"),
)
"""Options that a measured curve of rounds belongs to."""


def by_step_rule(program: Program, given: Options) -> dict[str, Any]:
    """Return the options that a plan's curve of rounds was measured with.

    Raises
    ------
    InputError
        The options state others, or draw clients, which the curve did not.
    """
    rule = program.step_rule
    if rule is None:
        return {}
    default = Options()
    if unknown := sorted(set(rule) - set(STEP_RULE)):
        raise InputError.at(
            "step_rule",
            f"has the unknown option {shown(unknown[0])}; a curve has {', '.join(STEP_RULE)}",
        )
    if given.client_fraction is not None:
        raise InputError.at(
            "client_fraction",
            "is not for a plan of time to accuracy, whose rounds were measured with all clients; "
            "leave it out",
        )
    found = {name: rule.get(name, getattr(default, name)) for name in STEP_RULE}
    for name, value in found.items():
        own = getattr(given, name)
        if own not in (value, getattr(default, name)):
            raise InputError.at(
                name,
                f"is {own}, and the plan's curve of rounds was measured with {value}; leave it "
                "out, or calibrate with yours",
            )
    return found


def _server_order(program: Program, given: Options) -> ServerOrder | None:
    """Return how the one server part serves: as the options say, or the plan; None elsewhere."""
    if program.plays == "splitfed_v2":
        return given.server_order or program.scenario.training.server_order or "client"
    if given.server_order is not None:
        raise InputError.at(
            "server_order",
            f"is for splitfed_v2, whose server part takes its clients' batches in an order; "
            f"{program.scheme} has none; leave it out",
        )
    return None


def set_groups(scheme: Scheme, program: Program, number: int) -> None:
    """Set the clusters of a scheme that has some to those of a round (0, 1, ...)."""
    if program.plays == "clustered":
        assert isinstance(scheme, Clustered)
        scheme.cluster(program.groups_of(number))
