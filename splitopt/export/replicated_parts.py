"""``torch`` for a plan of `ReplicatedPipeline`: its stages as code, and a script for torchrun."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from splitopt.errors import InputError
from splitopt.export import torch_parts
from splitopt.export.holders import Chain
from splitopt.export.job import Job
from splitopt.export.manifest import json_text
from splitopt.export.plan_job import PLAN_FILE, plan_bytes
from splitopt.export.preparing import job_of_chains
from splitopt.export.sample import Sample
from splitopt.export.torch_pipelining import check_stages
from splitopt.problems.replicated_pipeline import ReplicatedPipeline, ReplicatedPipelineDecision
from splitopt.problems.replicated_pipeline.tables import replication_of
from splitopt.simulation.replicated_pipeline import placed_names
from splitopt.simulation.schedules import deal, run_schedule
from splitopt.training.job import TrainingJob
from splitopt.training.other_schemes import HOSTED, REPLICAS
from splitopt.training.problems.replicated_pipeline import HOST, shares_of
from splitopt.training.program import Party, program_of

FORMAT = "splitopt-torch-replicas"
VERSION = 1
_OPTIMIZERS = {"sgd": ("sgd", 0.0), "momentum": ("sgd", 0.9), "adam": ("adam", 0.0)}
"""Optimizer of a scenario -> that of the script, and its momentum."""


def replicas_job(
    job: TrainingJob, sample: Sample, to: str, weights: str | Path | None = None
) -> Job:
    """Open the model of a job and split it into the stages of its plan.

    Raises
    ------
    InputError
        Another format than ``torch``, another scheme, or another model than that of the plan.
    InfeasibleError
        The plan has no decision.
    """
    if to != "torch":
        raise InputError(
            f"{job.source}: {HOSTED[REPLICAS]}; {to!r} holds no stages with several machines"
        )
    if job.scheme is not None:
        raise InputError.at("scheme", "is for plans of devices and servers; leave it out")
    program = program_of(job.plan, job.source)
    client = program.clients[0]
    stages = tuple(Party(f"stage {number + 1}", "node") for number in range(len(client.cuts) + 1))
    chain = Chain(HOST, client.cuts, stages, client.samples, client.batch_size)
    return job_of_chains(job, program, (chain,), sample, weights)


def files(job: Job) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    CapabilityError
        The model uses what cannot be written as code, or what stages cannot send.
    """
    check_stages(job, list(job.chains))
    spec = spec_of(job)
    script = resources.files("splitopt.export.written") / "train_replicas.py"
    return torch_parts.files(job) | {
        "replicas.json": json_text(spec).encode(),
        "train_replicas.py": script.read_bytes(),
        PLAN_FILE: plan_bytes(job.plan),
        "README.md": _readme(job, spec).encode(),
    }


def spec_of(job: Job) -> dict[str, Any]:
    """Return what ``replicas.json`` says: who does which pass when, from a replay of the step.

    The passes of every machine stand in the order in which the replay ends them, so that whoever
    waits for a tensor waits for a pass that is before its own in the replay: no two wait for each
    other.
    """
    opened = job.program.opened
    problem, decision = opened.problem, opened.decision
    assert isinstance(problem, ReplicatedPipeline)
    assert isinstance(decision, ReplicatedPipelineDecision)
    section, shares = replication_of(opened.scenario), shares_of(opened)
    named = placed_names(problem, decision, section.names())
    passes: list[list[list[list[Any]]]] = [[[] for _ in own] for own in named]
    for one in run_schedule(problem, decision).passes:
        passes[one.stage][one.device].append([one.kind, one.micro_batch])
    (chain,) = job.chains
    optimizer, momentum = _OPTIMIZERS[section.optimizer]
    return {
        "format": FORMAT,
        "version": VERSION,
        "plan": job.program.plan_digest,
        "model": "model:build" if job.origin.shipped else job.origin.target,
        "batch_size": section.batch_size,
        "micro_batches": section.micro_batches,
        "schedule": section.schedule,
        "optimizer": optimizer,
        "momentum": momentum,
        "shard_optimizer": section.shard_optimizer and section.optimizer != "sgd",
        "stages": [
            {
                "part": part.name,
                "after": part.ends[0],
                "until": part.ends[1],
                "machines": named[stage],
                "recompute": bool(decision.recompute[stage]),
                "dealt": deal(shares[stage], section.micro_batches),
                "passes": passes[stage],
            }
            for stage, part in enumerate(job.parts_of(chain))
        ],
    }


def _readme(job: Job, spec: dict[str, Any]) -> str:
    """Write the page that goes with the folder."""
    rows = "\n".join(
        f"| {number} | `{row['part']}` | {', '.join(row['machines'])} | "
        f"{'yes' if row['recompute'] else 'no'} |"
        for number, row in enumerate(spec["stages"], start=1)
    )
    machines = sum(len(row["machines"]) for row in spec["stages"])
    model = "" if job.origin.shipped else f" --model {job.origin.target or 'FILE.py:NAME'}"
    return f"""# {job.program.profile.name} on {machines} machines in {len(spec["stages"])} stages

The stages of the model by the plan of the scenario `{job.program.scenario.name}` (problem
`replicated_pipeline`), written by splitopt. The code needs PyTorch alone.

| Stage | Part | Machines | Recompute |
|---|---|---|---|
{rows}

`torchrun --standalone --nproc-per-node {machines} train_replicas.py{model} --data random`
trains with a process for each machine, in the order of the table: a step takes
{spec["micro_batches"]} micro-batches of {spec["batch_size"]} samples in the order of the schedule
{spec["schedule"]}, and the machines of a stage add up their gradients. `--save FOLDER` writes the
weights of the parts; `--weights FOLDER` goes on from them.
"""
