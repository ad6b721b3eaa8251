"""``torch-pipelining``: the parts, and a script that runs them as a pipeline with torchrun.

Every part is a stage of `torch.distributed.pipelining` and a process. An owner that holds both ends
of its chain has two processes: what it sends to itself over nobody is the labels, which stay where
they are.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from splitopt.errors import CapabilityError, InputError
from splitopt.export import torch_parts
from splitopt.export.holders import Chain
from splitopt.export.job import Job
from splitopt.export.manifest import json_text
from splitopt.export.plan_job import PLAN_FILE, plan_bytes
from splitopt.export.readme import pipeline_readme

FORMAT = "splitopt-torch-pipelining"
VERSION = 1


def files(job: Job) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    InputError
        No client of the plan has more than one part.
    CapabilityError
        The model uses what cannot be written as code, or what a pipeline cannot send.
    """
    spec = pipeline_of(job)
    script = resources.files("splitopt.export.written") / "train_pipeline.py"
    return torch_parts.files(job) | {
        "pipeline.json": json_text(spec).encode(),
        "train_pipeline.py": script.read_bytes(),
        PLAN_FILE: plan_bytes(job.plan),
        "README.md": pipeline_readme(job, spec).encode(),
    }


def pipeline_of(job: Job) -> dict[str, Any]:
    """Return the split specification as JSON-ready data.

    Raises
    ------
    InputError, CapabilityError
        As `files`.
    """
    chains = [chain for chain in job.chains if chain.cuts]
    if not chains:
        raise InputError(
            "the plan leaves every model whole on its device, so there is no pipeline; export it "
            "to 'torch'"
        )
    check_stages(job, chains)
    shipped = "model:build" if job.origin.shipped else job.origin.target
    return {
        "format": FORMAT,
        "version": VERSION,
        "plan": job.program.plan_digest,
        "model": shipped,
        "clients": {chain.name: _client(job, chain) for chain in chains},
    }


def stage_of_rank(chain: Chain) -> list[int]:
    """Return which stage each process runs: those of one party stand together, as on a machine."""
    order = {party: place for place, party in reversed(list(enumerate(chain.parties)))}
    return sorted(range(len(chain.parties)), key=lambda stage: order[chain.parties[stage]])


def _client(job: Job, chain: Chain) -> dict[str, Any]:
    batch = chain.batch_size or chain.samples
    stages = len(chain.parties)
    pieces = chain.allocation.get("micro_batches")
    if pieces is None:
        pieces = next((n for n in range(stages, batch + 1) if batch % n == 0), batch)
    modules = {name for name, _ in job.split.module.named_modules()}
    inside = [cut for cut in chain.cuts if cut not in modules]
    return {
        "stages": [
            {"part": part.name, "party": party.name, "after": part.ends[0], "until": part.ends[1]}
            for part, party in zip(job.parts_of(chain), chain.parties, strict=True)
        ],
        "stage_of_rank": stage_of_rank(chain),
        "batch_size": batch,
        "microbatches": pieces,
        "schedule": "1f1b" if pieces >= stages else "gpipe",
        "split_spec": None if inside else dict.fromkeys(chain.cuts, "END"),
        "cuts_inside_modules": inside,
    }


def check_stages(job: Job, chains: list[Chain]) -> None:
    """Raise `CapabilityError` for what the stages of a pipeline cannot send to each other."""
    if len(job.inputs) != 1:
        raise CapabilityError(
            f"the model takes {len(job.inputs)} inputs, and the pipeline's script feeds one; "
            "export to 'torch'"
        )
    if job.shapes[None] is None:
        raise CapabilityError(
            "the model returns no single tensor, which the loss of a pipeline needs; export to "
            "'torch'"
        )
    for chain in chains:
        if tied := job.tied(chain):
            raise CapabilityError(
                f"the weight {tied[0]} is trained by several parts of {chain.name} (tied weights), "
                "and the stages of a pipeline would each train their own; export to 'torch'"
            )
    for cut in dict.fromkeys(cut for chain in chains for cut in chain.cuts):
        place = job.program.profile.layers.index(cut)
        shape = job.shapes[cut]
        trained = job.program.profile.gradient_bytes[place] > 0
        if shape is None or not trained or "float" not in shape["dtype"]:
            raise CapabilityError(
                f"no gradient comes back over the cut behind {cut!r}, and a pipeline's stages send "
                "one; plan with a later cut, or export to 'torch'"
            )
