"""Everything that a training needs, made from a plan and checked, before the first round.

One process or many: whoever takes part in a training prepares it by the same call, and has the same
clients, batches and weights as all others.
"""

from __future__ import annotations

import copy
import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.errors import CapabilityError, InputError
from splitopt.models import build, model_names
from splitopt.profiles import ModelProfile
from splitopt.profiles.tracing.running.example import inputs_of
from splitopt.profiles.tracing.running.wrapped import unwrapped
from splitopt.profiles.tracing.source import open_model
from splitopt.profiles.tracing.split import SplitModel
from splitopt.training.codecs.registry import NONE, codec_code
from splitopt.training.data import DataSet
from splitopt.training.data.dataset import as_array
from splitopt.training.data.named import example_of, tensors_of
from splitopt.training.data.shards import OWN, Shard, is_own
from splitopt.training.job import TrainingJob
from splitopt.training.kinds import OPTIMIZER, TASK
from splitopt.training.options import Options
from splitopt.training.preparing.encoding import with_codecs_timed
from splitopt.training.preparing.fitting import (
    check_batches,
    check_outputs,
    explained,
    fitted,
    seen_as_one_tensor,
)
from splitopt.training.preparing.graphs import match_graph
from splitopt.training.preparing.loading import loaded as load
from splitopt.training.preparing.masked import sum_described, with_masked_uploads
from splitopt.training.preparing.matching import match
from splitopt.training.preparing.pixel import described as noise_described
from splitopt.training.preparing.private import described, warn_of_memory
from splitopt.training.preparing.robust import robust_described
from splitopt.training.preparing.setup import (
    Draw,
    build_scheme,
    clients_with,
    make_clients,
    with_scheme,
)
from splitopt.training.preparing.shorter import check_shorter, cuts_batches, for_any_length
from splitopt.training.preparing.starting import beginning, begun, expect_chosen, recorded
from splitopt.training.program import Program, program_of
from splitopt.training.randomness import seed_of
from splitopt.training.schemes import Client, Scheme
from splitopt.training.tasks import Task, task_of
from splitopt.training.tasks.known import CLASSIFICATION


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a training is made of.

    Parameters
    ----------
    program
        What the plan asks.
    data
        What is trained and tested with.
    split
        The model as it was given, and its cuts.
    scheme
        Clients and the model that the rounds change.
    identity
        JSON-ready data that names the run: two runs with the same one learn the same.
    named
        How model and data were named, where they were named and not given.
    task
        What is trained for.
    code
        Whose code takes part that is none of splitopt's, by what it is: a package with its version,
        or a file with its digest.
    own
        What this party has of the data, where each has its own and sees no other's.
    test_at
        The client that has the data to test with, where it is one of them.
    drawn
        Of a run in whose rounds some of the clients take part: how many, and the expected round.
    """

    program: Program
    data: DataSet
    split: SplitModel
    scheme: Scheme
    identity: Mapping[str, Any]
    named: Mapping[str, str] = field(default_factory=dict)
    task: Task = CLASSIFICATION
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def agreement(self) -> dict[str, Any]:
        """What all parties of a run over connections must have alike."""
        return {**self.identity, **{f"code of {what}": text for what, text in self.code.items()}}

    own: Shard | None = None
    test_at: str | None = None
    drawn: Mapping[str, Any] = field(default_factory=dict)

    @property
    def origin(self) -> dict[str, Any]:
        """Where a history is from, for people: plan, scheme, data and seed."""
        program, options = self.program, self.identity["options"]
        sent = ("codec", "gradient_codec", "padding")  # by which bytes and times are
        return {
            "scenario": program.scenario.name,
            "problem": program.problem,
            "planned_scheme": program.planned_scheme,
            "profile": program.profile.name,
            "data_name": self.data.name,
            **_leading(self.task),
            **{f"{what}_source": text for what, text in self.named.items()},
            **{name: self.identity[name] for name in ("plan", "scheme", "partition", "seed")},
            **{name: options[name] for name in sent if name in options},
            **({"server_order": options["server_order"]} if "server_order" in options else {}),
            **({"drawn": dict(self.drawn)} if self.drawn else {}),
            **robust_described(program),
            **described(self.scheme),
            **sum_described(program, self.scheme),
            **noise_described(self.scheme),
            **{name: options[name] for name in ("nopeek", "remembering") if name in options},
        }


def prepare(job: TrainingJob, rank: int | None = None) -> Prepared:
    """Load data and model of a job, check that they fit the plan, and make the clients.

    Parameters
    ----------
    job
        What is trained.
    rank
        Which party of several this process is. It counts where each has data of its own: a client
        loads its own, and whoever is none of the clients the data to test with.

    Raises
    ------
    InputError
        Anything that does not fit.
    InfeasibleError
        The plan has no decision.
    CapabilityError
        The device is not there.
    """
    place = find_device(job.device)
    program = program_of(job.plan, job.source)
    program, kind, code = with_scheme(program, job.scheme)
    task = task_of(job.task)
    loaded, rows, own_data = load(job, program, task, rank)
    strictly = explained(program.profile, loaded, built_here=is_shipped(job.model))
    with strictly if job.match == "structure" else nullcontext():
        module = make_model(job.model, program, loaded, job.seed)
        if any(client.rank is not None for client in program.clients):
            expect_chosen(module, program.profile, job.adapters)
        module = begun(module, program.profile, job.adapters, job.initial_weights)
        loaded = fitted(module, loaded, keeps_padding=cuts_batches(job.options))
        example = loaded.train_inputs[:2]
        module = seen_as_one_tensor(module, example)
        check_outputs(module, loaded, task)
        if program.is_graph:
            split = match_graph(job, program, module, inputs_of(example_of(example), module))
        else:
            split = match(module, example_of(example), program.profile, job.match, job.stages)
    split, positions = for_any_length(split, module, loaded, job, program.profile)
    if own_data is not None:
        own_data = replace(own_data, data=loaded)  # in the types that the model takes
        clients = clients_with(program, own_data, job.seed, positions)
    else:
        clients = make_clients(
            program, loaded, job.partition, job.seed,
            samples="data" if program.all_data else job.samples, device=place, rows=rows,
            positions=positions,
        )  # fmt: skip
    own = copy.deepcopy(module).to(place)
    scheme = build_scheme(
        program, split, clients, job.options, job.seed, model=own, task=task, kind=kind
    )
    check_batches(module, scheme, example)
    check_shorter(split, scheme, positions)
    warn_of_memory(job.plan.scenario, scheme.options)
    if scheme.options.has_codecs:
        program = with_codecs_timed(program, scheme, job.source)
    if scheme.options.secure_aggregation:
        program = with_masked_uploads(program, scheme)
    identity = {
        "plan": program.plan_digest,
        "scheme": program.scheme,
        "seed": job.seed,
        "partition": OWN if is_own(job.data, job.partition) else job.partition,
        "options": scheme.options.identity(),
        "model": structure_digest(own.state_dict()),
        **beginning(job.adapters or recorded(program.profile), job.initial_weights),
        **_leading(task),
        **({"scheme_code": code} if code else {}),
        **({} if job.test_at is None else {"test_at": job.test_at}),
    }
    if own_data is None:
        identity |= {"data": loaded.digest(), "clients": _clients_digest(clients)}
    own_code = _code_of(job)
    found = Prepared(program, loaded, split, scheme, identity, job.named, task, own_code, own_data)
    return replace(found, test_at=job.test_at)


def _code_of(job: TrainingJob) -> dict[str, str]:
    """Return whose code takes part beside splitopt's own, by what it is."""
    options = job.options or Options()
    found = {
        "codec": codec_code(options.codec),
        "gradient_codec": codec_code(options.gradient_codec or NONE),
        "optimizer": OPTIMIZER.find(options.optimizer).code,
        "task": TASK.find(job.task).code if isinstance(job.task, str) else "",
    }
    return {what: code for what, code in found.items() if code}


def _leading(task: Task) -> dict[str, Any]:
    """Name the task, and the metric by which models are compared; classification needs no word."""
    if task is CLASSIFICATION:
        return {}
    metric = None if task.leading is None else task.metrics[task.leading]
    return {
        "task": task.name,
        "metric": task.leading,
        "higher_is_better": metric is not None and metric.higher_is_better,
        "unit": "" if metric is None else metric.unit,
    }


def find_device(name: str) -> torch.device:
    """Find the device of a name: ``cpu``, ``cuda``, ``cuda:1``, or ``auto``, a GPU if there is one.

    Raises
    ------
    InputError
        Another name.
    CapabilityError
        A GPU that PyTorch does not find.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if there else "cpu")
    if name != "cpu" and not re.fullmatch(r"cuda(:\d+)?", name):
        raise InputError.at("device", f"is {name!r}, it must be cpu, cuda, cuda:N or auto")
    found = torch.device(name)
    if found.type == "cuda" and (found.index or 0) >= there:
        raise CapabilityError(f"device: {name!r} is not there; PyTorch finds {there} GPUs")
    return found


def make_model(
    model: nn.Module | str | None, program: Program, data: DataSet, seed: int
) -> nn.Module:
    """Return the model to train, with weights drawn by the seed if it is built here.

    Parameters
    ----------
    model
        A module; the name of a shipped network; ``MODULE:FACTORY`` in the user's code; or None for
        the shipped network whose name the plan's profile begins with.

    Raises
    ------
    InputError
        There is no such model, or none by default, or it has no values.
    """
    if model is None:
        model = default_model(program.profile)
    return make_module(model, data, seed)[0]


def make_module(model: nn.Module | str, data: DataSet, seed: int) -> tuple[nn.Module, str]:
    """Return a model for the data, with weights drawn by the seed if it is built, and its name.

    Raises
    ------
    InputError
        It is no module, or there is none of that name, or it has no values.
    """
    if isinstance(model, nn.Module):
        inside = unwrapped(model)
        return _on_cpu(inside), type(inside).__name__.lower()
    if not isinstance(model, str):
        raise InputError.at(
            "model", f"is {model!r}, it must be a module, the name of one, or MODULE:FACTORY"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, Draw.WEIGHTS))
        if model in model_names():
            return build(model, data.shape, data.outputs), model
        built, name = open_model(model, data.shape)[:2]
        return unwrapped(built), name


def _on_cpu(model: nn.Module) -> nn.Module:
    """Return the model, or a copy where it is not on the CPU, on which it is examined and cut."""
    places = {tensor.device.type for tensor in (*model.parameters(), *model.buffers())}
    if "meta" in places:
        raise InputError.at("model", "has tensors without values, on meta; build it on a device")
    return model if places <= {"cpu"} else copy.deepcopy(model).cpu()


def is_shipped(model: nn.Module | str | None) -> bool:
    """Report whether `make_model` would make a shipped network."""
    return model is None or (isinstance(model, str) and model in model_names())


def default_model(profile: ModelProfile) -> str:
    """Name the shipped network that a profile is of: as it says, or by how its name begins.

    A model in the user's code is never taken by default, since that would run a file that nobody
    named; it is proposed.

    Raises
    ------
    InputError
        It begins with no such name.
    """
    known = None if profile.trace is None else profile.trace.model
    if known in model_names():
        return str(known)
    if known is not None:
        raise InputError.at(
            "model",
            f"is missing; {profile.name} was profiled from {known}, name it again "
            f"(--model {shlex.quote(known)}, or model={known!r} in Python)",
        )
    return default_name(profile.name)


def default_name(profile: str) -> str:
    """Name the shipped network that the name of a profile begins with.

    Raises
    ------
    InputError
        It begins with no such name.
    """
    named = [
        name for name in model_names() if re.match(rf"{re.escape(name)}(?![A-Za-z0-9])", profile)
    ]
    if not named:
        raise InputError.at(
            "model",
            f"the plan's profile {profile!r} is named after no shipped network; name the "
            f"model that was profiled, MODULE:FACTORY or one of {', '.join(model_names())}",
        )
    return max(named, key=len)


def structure_digest(state: Mapping[str, Tensor]) -> str:
    """Name a model by the names, shapes and types of its tensors."""
    rows = [f"{name} {tuple(value.shape)} {value.dtype}" for name, value in state.items()]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _clients_digest(clients: Sequence[Client]) -> str:
    """Name who has which data, and in what batches."""
    found = hashlib.sha256()
    for client in clients:
        found.update(f"{client.name} {client.batches.size} {client.samples}".encode())
        for tensor in (*tensors_of(client.batches.inputs).values(), client.batches.targets):
            found.update(as_array(tensor).tobytes())
    return found.hexdigest()
