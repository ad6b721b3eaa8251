"""The page that goes with an export: what is in the folder and how it is used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from splitopt.export.holders import parties_of
from splitopt.export.job import Job, Origin, WrittenPart
from splitopt.export.manifest import WEIGHTS
from splitopt.export.markdown import table
from splitopt.scenario import Scenario

_HOW_TO_TRAIN = """\
The parts share parameters and buffers with `model`; a party that keeps a copy for every client
gives `copy.deepcopy(model)` for each of them. A part that is not the first is given a leaf,
`entry = sent.detach().requires_grad_()`, and what comes back to the part before is `entry.grad`,
for its `result.backward(entry.grad)`. Then outputs and gradients are those of the whole model bit
for bit."""

_HOW_TO_MERGE = """\
`save_parts("trained", parts, client)` writes trained parts, for each client its copies, and
`save_parts("trained", parts)` those that all share. Where splitopt is installed,
`splitopt merge . --trained trained -o model.safetensors` puts them together to one model under its
own names; copies that differ are averaged."""


def parts_readme(job: Job) -> str:
    """Write the page of the parts."""
    program = job.program
    sections = [
        f"# {program.profile.name} in parts",
        f"The parts of the model by the plan of the scenario `{program.scenario.name}` (problem "
        f"`{program.problem}`), written by splitopt. The code needs PyTorch alone.",
        *trained_on(program.scenario),
        "\n".join(_contents(job)),
        table(("Part", "From behind", "To behind", "Layers"), map(part_row, job.parts)),
        table(("Client", "Who holds its parts"), client_rows(job)),
        f"```python\n{_example(job)}\n```",
        _HOW_TO_TRAIN,
        *_how_to_tie(job),
        _HOW_TO_MERGE,
    ]
    if job.weights is not None:
        sections.append(
            f'`load_parts(..., weights="{WEIGHTS}")` reads the weights of these parts alone, from '
            "beside `parts.py` wherever Python is run; nothing in the file is executed."
        )
    return "\n\n".join(sections) + "\n"


def trained_on(scenario: Scenario) -> list[str]:
    """Return what the parts are to be trained on, where the scenario states it."""
    stated = scenario.data
    if stated is None:
        return []
    task = "" if stated.task is None else f" for the task `{stated.task}`"
    by = "" if stated.partition is None else f", shared out by `{stated.partition}`"
    return [f"The devices train on `{stated.source}`{by}{task}."]


def _how_to_tie(job: Job) -> list[str]:
    """Describe how weights are trained that several parts of a chain use, if there are some."""
    names = dict.fromkeys(name for chain in job.chains for name in job.tied(chain))
    if not names:
        return []
    listed = ", ".join(f"`{name}`" for name in names)
    return [
        f"Several parts of a client train {listed} (tied weights). In one process they are one "
        "tensor, which one optimizer steps, after the backward passes of all these parts. Parties "
        "that each hold a copy add the gradients of all copies, and make the same step with the "
        "sum, in every mini-batch."
    ]


def how_to_build(origin: Origin) -> str:
    """Write the line that gives a function ``build``."""
    if origin.shipped:
        return "from model import build"
    place, _, factory = (origin.target or "").rpartition(":")
    if not place or place.endswith(".py") or not factory.isidentifier():
        return "# build() is the function of yours that makes the model"
    return f"from {place} import {factory} as build"


def _contents(job: Job) -> list[str]:
    found = [
        "- `parts.py`: a class per part, and `load_parts`, `load_chain`, `save_parts` and "
        "`check_model`.",
        "- `parts.json`: every client's cuts by layer name, who holds which part, the bytes that "
        "cross, batch sizes, and the decision of the plan.",
    ]
    if job.origin.shipped:
        found.append("- `model.py`: the network; `build()` makes it.")
    if job.weights is not None:
        found.append(f"- `{WEIGHTS}`: the weights by the names of the model's tensors.")
    return found


def _example(job: Job) -> str:
    """Write how the parts are loaded, with the names of this plan."""
    chain = next((chain for chain in job.chains if chain.cuts), job.chains[0])
    client, other = json.dumps(chain.name), json.dumps(parties_of([chain])[-1].name)
    lines = [
        how_to_build(job.origin),
        "from parts import load_chain, load_parts",
        "",
        "model = build()",
        f"own = load_parts(model, {client})  # the parts that the client holds itself",
    ]
    if other != client:
        lines.append(f"others = load_parts(model, {other}, client={client})")
    lines.append(f"chain = load_chain(model, {client})  # (party, part) from input to output")
    return "\n".join(lines)


def client_rows(job: Job) -> Iterable[Sequence[str]]:
    """Return a row per client: its name, and who holds its parts."""
    for chain in job.chains:
        held = zip(job.parts_of(chain), chain.parties, strict=True)
        yield chain.name, ", ".join(f"{part.name}: {party.name}" for part, party in held)


def part_row(part: WrittenPart) -> Sequence[str]:
    """Return name, ends and number of layers of a part."""
    start, end = part.ends
    return (
        f"`{part.name}`",
        "(the input)" if start is None else f"`{start}`",
        "(the output)" if end is None else f"`{end}`",
        str(len(part.layers)),
    )


def pipeline_readme(job: Job, spec: dict[str, Any]) -> str:
    """Write the page of the pipeline: that of the parts, and how it is run."""
    name, client = next(iter(spec["clients"].items()))
    stages = client["stages"]
    held: dict[str, list[str]] = {}
    for rank, number in enumerate(client["stage_of_rank"]):
        stage = stages[number]
        held.setdefault(stage["party"], []).append(f"rank {rank}: stage {number} ({stage['part']})")
    sections = [
        parts_readme(job).rstrip("\n"),
        "## As a pipeline",
        f"`train_pipeline.py` trains the model of one client, here {name}, with the stages of the "
        "plan, a process for each. It needs PyTorch alone; `--help` lists its options.",
        "```sh\n"
        f"torchrun --standalone --nproc-per-node {len(stages)} train_pipeline.py --data random\n"
        "```",
        "On several machines every party starts its own processes, in this order of node ranks:",
        table(
            ("Node rank", "Party", "Processes", "Which run"),
            (
                (str(node), party, str(len(ranks)), ", ".join(ranks))
                for node, (party, ranks) in enumerate(held.items())
            ),
        ),
        "```sh\n"
        f"torchrun --nnodes {len(held)} --node-rank NODE_RANK --nproc-per-node PROCESSES \\\n"
        "    --master-addr FIRST_MACHINE --master-port 29500 train_pipeline.py --data DATA\n"
        "```",
        _WHAT_IS_KEPT,
    ]
    if client["split_spec"] is not None:
        sections.append(_SPLIT_SPEC.format(name=json.dumps(name)))
    return "\n\n".join(sections) + "\n"


_WHAT_IS_KEPT = """\
Kept of the plan: the stages, who runs them, the batch size; inputs and labels stay with the first
and the last stage. Not kept: here one model learns from one client's batches, which are cut into
microbatches so that the stages work at the same time; in the plan every client has a copy, the
batches of different clients fill the pipeline, and copies are averaged. Batch normalisation sees
microbatches. Links and machines are as fast as they are."""

_SPLIT_SPEC = """\
All cuts are ends of modules, so PyTorch can split the model by itself:

```python
import json

import torch
from torch.distributed.pipelining import SplitPoint, pipeline

spec = json.load(open("pipeline.json"))["clients"][{name}]
points = {{cut: SplitPoint[where] for cut, where in spec["split_spec"].items()}}
pipe = pipeline(model, mb_args=(microbatch,), split_spec=points)
stage = pipe.get_stage_module(0)
```"""
