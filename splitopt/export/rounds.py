"""What a foreign framework reads of a plan to train its rounds: ``rounds.json``, and code for it.

It is for federated learning and both SplitFeds. Cuts, batches, samples, weights and orders are the
plan's, so that what is learned is what `splitopt train` learns of the same data.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from splitopt.errors import CapabilityError, InputError
from splitopt.export import torch_parts
from splitopt.export.job import Job
from splitopt.export.manifest import json_text
from splitopt.export.plan_job import PLAN_FILE, plan_bytes
from splitopt.training.preparing.setup import Draw
from splitopt.training.turns import permuted, seed_of

FORMAT = "splitopt-rounds"
VERSION = 1
SCHEMES = ("splitfed_v1", "splitfed_v2", "federated")
SEED = 0
"""Of weights, batches and orders; `splitopt train` has it by default."""
_MODULES = ("plan_task", "plan_server", "plan_device")


def round_files(job: Job, spec: dict[str, Any], modules: tuple[str, ...]) -> dict[str, bytes]:
    """Return the files that hold a plan and its rounds, by name.

    Parameters
    ----------
    job
        What is exported.
    spec
        Of `spec_of`.
    modules
        The modules in the folder ``written`` that go along beside those that all frameworks share.
    """
    code = resources.files("splitopt.export.written")
    return torch_parts.files(job) | {
        "rounds.json": json_text(spec).encode(),
        **{f"{name}.py": (code / f"{name}.py").read_bytes() for name in (*_MODULES, *modules)},
        PLAN_FILE: plan_bytes(job.plan),
    }


def spec_of(job: Job, what: str) -> dict[str, Any]:
    """Return what is read of the plan, as JSON-ready data.

    Parameters
    ----------
    job
        What is exported.
    what
        How messages call what is written, such as ``"app"``.

    Raises
    ------
    CapabilityError
        The plan is for another scheme, or asks for what is not done.
    InputError
        The model was given as an object or a file, so that other processes cannot build it.
    """
    _check(job, what)
    program = job.program
    by_batch = program.scheme == "splitfed_v2" and _server_order(job) == "batch"
    return {
        "format": FORMAT,
        "version": VERSION,
        "plan": program.plan_digest,
        "scheme": program.scheme,
        "model": "model:build" if job.origin.shipped else job.origin.target,
        "rounds": program.rounds,
        "weights_seed": seed_of(SEED, Draw.WEIGHTS),
        "local_epochs": program.local_epochs,
        "local_steps": program.local_steps,
        "batch_by_batch": by_batch,
        "orders": _orders(job, by_batch) if program.scheme == "splitfed_v2" else [],
        "clients": [
            {
                "name": chain.name,
                "split": bool(chain.cuts),
                "samples": chain.samples,
                "batch_size": chain.batch_size,
                "batches_seed": seed_of(SEED, Draw.BATCHES, index),
            }
            for index, chain in enumerate(job.chains)
        ],
    }


def _orders(job: Job, by_batch: bool) -> list[Any]:
    """Return in which order SplitFedV2 serves clients, by round; batch by batch also by turn."""
    program, members = job.program, range(len(job.chains))
    seed = seed_of(SEED, Draw.ORDER)
    if not by_batch:
        return [permuted(members, seed, number) for number in range(program.rounds)]
    turns = max(_steps(job, index) for index in members)
    return [
        [permuted(members, seed, number, turn) for turn in range(turns)]
        for number in range(program.rounds)
    ]


def _steps(job: Job, index: int) -> int:
    chain, program = job.chains[index], job.program
    size = min(chain.batch_size or chain.samples, chain.samples)
    return program.local_steps or program.local_epochs * -(-chain.samples // size)


def _server_order(job: Job) -> str:
    prediction = job.plan.prediction or {}
    found = prediction.get("server_order") or job.program.scenario.training.server_order
    return str(found or "client")


def _check(job: Job, what: str) -> None:
    """Reject what would be done otherwise than the plan says."""
    program = job.program
    if program.scheme not in SCHEMES:
        raise CapabilityError(
            f"the plan is for {program.scheme}, and the {what} trains {', '.join(SCHEMES)}; plan "
            "with --scheme, or export it to 'torch'"
        )
    if len(program.server_names) > 1:
        raise CapabilityError(
            f"the plan has devices at {' and '.join(program.server_names)}, and the {what} has one "
            "server; plan with one of them"
        )
    stated = program.scenario.data
    if stated is not None and stated.task not in (None, "classification"):
        raise CapabilityError(
            f"the scenario states the task {stated.task}, and the {what} trains for "
            "classification; export it to 'torch'"
        )
    if any(client.codecs is not None for client in program.clients):
        raise CapabilityError(
            f"the plan sends values in fewer bits, which the {what} does not; drop 'precision', or "
            "train it with splitopt"
        )
    if program.aggregation_interval not in (None, 1) or program.step_rule is not None:
        raise CapabilityError(
            "the plan holds for an interval of averages or a rule of steps of its own, which the "
            f"{what} does not keep; export it to 'torch'"
        )
    if job.origin.target is None:
        raise InputError.at("model", "is an object; name it as MODULE:FACTORY, which it calls")
    if not job.origin.shipped and ".py:" in job.origin.target:
        raise InputError.at("model", "is a file; name it as MODULE:FACTORY, which nodes import")
    _check_model(job, what)


def _check_model(job: Job, what: str) -> None:
    """Reject a model that does not fit the messages of clients and server."""
    if len(job.inputs) != 1 or job.shapes[None] is None:
        raise CapabilityError(
            f"the model takes several inputs or returns no single tensor, and the {what} is for "
            "one of each; export it to 'torch'"
        )
    for chain in job.chains:
        if tied := job.tied(chain):
            raise CapabilityError(
                f"the weight {tied[0]} is trained on both sides of a cut of {chain.name} (tied "
                f"weights), and the {what} exchanges no gradients of weights; cut elsewhere"
            )
        for cut in chain.cuts:
            shape = job.shapes[cut]
            if shape is None or "float" not in shape["dtype"]:
                raise CapabilityError(
                    f"what crosses the cut behind {cut!r} is no tensor of floating-point numbers, "
                    f"which the {what} sends; plan with another cut"
                )
