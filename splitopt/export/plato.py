"""``plato``: a plan as a configuration of Plato, where Plato can do what the plan says.

Plato's split learning keeps a front of its own for each client and averages none; with several
clients no plan of splitopt trains so. What both have is federated averaging, and split learning of
one client. The model is LeNet-5, which both have layer by layer.
"""

from __future__ import annotations

import json
import re
from typing import Any

from splitopt.errors import CapabilityError, shown
from splitopt.export.markdown import table
from splitopt.export.plan_job import PLAN_FILE, PlanJob, plan_bytes
from splitopt.export.plato_form import PlatoConfig
from splitopt.profiles import ModelProfile
from splitopt.training.program import Program
from splitopt.units import counted

FILE = "config.toml"
LAYERS = {
    "conv1": "relu1",
    "pool1": "pool1",
    "conv2": "relu2",
    "pool2": "pool2",
    "fc1": "relu3",
    "fc2": "relu4",
    "fc3": "fc5",
}
"""Cut of splitopt's ``lenet5`` -> the last layer in front of it in Plato's."""
PARAMETERS = 61_706
"""Of LeNet-5 on grey images of 28 x 28, in both."""
SOURCES = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
_DIRICHLET = re.compile(r"dirichlet:(.+)")
_LEARNING_RATE = 0.01


def files(job: PlanJob) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    CapabilityError
        Plato has no configuration that trains what the plan says; the message names what.
    """
    program = job.program
    config = _config(program)
    checked = PlatoConfig.model_validate(config)
    return {
        FILE: toml_of(checked.model_dump(exclude_none=True)).encode(),
        PLAN_FILE: plan_bytes(job.plan),
        "README.md": _page(job, program, checked).encode(),
    }


def _config(program: Program) -> dict[str, Any]:
    """Return the configuration as plain data."""
    _check_scheme(program)
    _check_model(program.profile)
    samples = _same(program, "samples", [client.samples for client in program.clients])
    batch = _same(program, "batch_size", [client.batch_size for client in program.clients])
    epochs, clients = program.local_epochs, len(program.clients)
    split = program.scheme != "federated"
    kind = "split_learning" if split else "fedavg"
    turn = epochs * -(-samples // batch)
    rounds = program.rounds * (turn + 1) if split else program.rounds
    cut = LAYERS[program.clients[0].cuts[0]] if split else None
    return {
        "clients": {
            "type": "split_learning" if split else "simple",
            "total_clients": clients,
            "per_round": 1 if split else clients,
            "do_test": False,
            "iteration": turn if split else None,
        },
        "server": {
            "type": kind,
            "address": "127.0.0.1",
            "port": 8000,
            "random_seed": 1,
            "do_test": not split,
        },
        "data": {**_data(program), "partition_size": samples, "random_seed": 1},
        "trainer": {
            "type": "split_learning" if split else "basic",
            "rounds": rounds,
            "epochs": epochs,
            "batch_size": batch,
            "optimizer": "SGD",
            "model_name": "lenet5",
        },
        "algorithm": {"type": kind, "split_learning": True if split else None},
        "parameters": {
            "model": {"num_classes": 10, "cut_layer": cut},
            "optimizer": {"lr": _LEARNING_RATE},
        },
    }


def _check_scheme(program: Program) -> None:
    """Reject what Plato does not train."""
    if program.scheme == "federated":
        return
    if program.scheme != "vanilla":
        raise CapabilityError(
            f"the plan is trained by {program.scheme}, and Plato has federated averaging and split "
            "learning alone; plan --problem common_cut --scheme federated, or vanilla"
        )
    if len(program.clients) > 1:
        raise CapabilityError(
            "the plan hands one front from device to device, and Plato's split learning keeps one "
            f"for each of {len(program.clients)} clients, which trains another model; export it "
            "for a single device, or to torch, flower, nvflare or ray"
        )


def _check_model(profile: ModelProfile) -> None:
    """Reject a model that is not the LeNet-5 of both."""
    parameters = float(profile.device_model_bytes[-1]) / 4
    if tuple(profile.layers) != tuple(LAYERS) or parameters != PARAMETERS:
        raise CapabilityError(
            f"the model is {profile.name!r}, and of the models of Plato splitopt knows lenet5 on "
            "grey images layer by layer; plan lenet5-fashion-mnist, or export to torch"
        )


def _same(program: Program, field: str, values: list[Any]) -> int:
    """Return what all clients have alike; Plato states it once."""
    if None in values:
        name = program.clients[values.index(None)].name
        raise CapabilityError(f"{name} has no {field}, and Plato needs one; state it")
    if len(set(values)) > 1:
        at = next(k for k, value in enumerate(values) if value != values[0])
        one, two = program.clients[0].name, program.clients[at].name
        raise CapabilityError(
            f"{field} is {values[0]} for {one} and {values[at]} for {two}, and Plato has the same "
            "for all clients"
        )
    return int(values[0])


def _data(program: Program) -> dict[str, Any]:
    """Return what the scenario says of data, in Plato's words."""
    stated = program.scenario.data
    source = None if stated is None else stated.source
    if source not in SOURCES:
        raise CapabilityError(
            f"data.source: is {shown(source)}, and Plato's sources for lenet5 are "
            f"{' and '.join(SOURCES)}; state one in the scenario's 'data'"
        )
    assert stated is not None  # it has a source
    partition = stated.partition or "iid"
    found: dict[str, Any] = {"datasource": SOURCES[source], "sampler": "iid"}
    if dirichlet := _DIRICHLET.fullmatch(partition):
        return {**found, "sampler": "noniid", "concentration": float(dirichlet.group(1))}
    if partition != "iid":
        raise CapabilityError(
            f"data.partition: is {shown(partition)}, and Plato shares out by iid or dirichlet:ALPHA"
        )
    return found


def toml_of(config: dict[str, Any], path: str = "") -> str:
    """Write plain data as TOML: values of a section first, then its own sections."""
    plain = {key: value for key, value in config.items() if not isinstance(value, dict)}
    lines = [f"[{path}]"] if path and plain else []
    lines += [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    inner = [
        toml_of(value, f"{path}.{key}" if path else key)
        for key, value in config.items()
        if isinstance(value, dict)
    ]
    return "\n".join([*lines, *([""] if lines else []), *inner])


def _page(job: PlanJob, program: Program, config: PlatoConfig) -> str:
    rows = [
        (client.name, f"{client.samples:,}", str(client.batch_size)) for client in program.clients
    ]
    split = config.clients.iteration is not None
    rounds, epochs = counted(program.rounds, "round"), counted(program.local_epochs, "local epoch")
    words = (
        f"A round of the plan is {config.clients.iteration} mini-batches and one message with the "
        f"front's weights; Plato counts each of them as a round, hence {config.trainer.rounds:,}."
        if split
        else f"{rounds} of {epochs}, all clients in each."
    )
    return (
        "\n\n".join(
            [
                f"# {job.opened.scenario.name} for Plato",
                f"The plan as a configuration of Plato ({config.algorithm.type}), written by "
                "splitopt.",
                table(("Client", "Samples", "Batch size"), rows),
                words,
                f"```sh\nuv run plato.py -c {FILE}\n```",
                _KEPT,
            ]
        )
        + "\n"
    )


_KEPT = f"""## What is kept of the plan, and what is not

Who trains how many samples in which batches, the cut, local epochs and rounds are those of the
plan. The learning rate ({_LEARNING_RATE}) is none of the plan's: set it. Plato is as fast as its
machines and links; shares, rates and seconds of the plan are in `plan.json`, which
`splitopt import` reads back. Clients have numbers in Plato, and take samples by its sampler."""
