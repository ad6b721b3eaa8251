"""The page that goes with an export: what is in the folder and how it is used."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from splitopt.export.holders import parties_of
from splitopt.export.job import Job, Origin, WrittenPart
from splitopt.export.manifest import WEIGHTS

_HOW_TO_TRAIN = """\
The parts share parameters and buffers with `model`; a party that keeps a copy for every client
gives `copy.deepcopy(model)` for each of them. A part that is not the first is given a leaf,
`entry = sent.detach().requires_grad_()`, and what comes back to the part before is `entry.grad`,
for its `result.backward(entry.grad)`. Then outputs and gradients are those of the whole model bit
for bit."""


def parts_readme(job: Job) -> str:
    """Write the page of the parts."""
    program = job.program
    sections = [
        f"# {program.profile.name} in parts",
        f"The parts of the model by the plan of the scenario `{program.scenario.name}` (problem "
        f"`{program.problem}`), written by splitopt. The code needs PyTorch alone.",
        "\n".join(_contents(job)),
        _table(("Part", "From behind", "To behind", "Layers"), map(_part_row, job.parts)),
        _table(("Client", "Who holds its parts"), _client_rows(job)),
        f"```python\n{_example(job)}\n```",
        _HOW_TO_TRAIN,
    ]
    if job.weights is not None:
        sections.append(
            f'`load_parts(..., weights="{WEIGHTS}")` reads the weights of these parts alone; '
            "nothing in the file is executed."
        )
    return "\n\n".join(sections) + "\n"


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
        "- `parts.py`: a class per part, and `load_parts`, `load_chain` and `check_model`.",
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


def _client_rows(job: Job) -> Iterable[Sequence[str]]:
    for chain in job.chains:
        held = zip(job.parts_of(chain), chain.parties, strict=True)
        yield chain.name, ", ".join(f"{part.name}: {party.name}" for part, party in held)


def _part_row(part: WrittenPart) -> Sequence[str]:
    start, end = part.ends
    return (
        f"`{part.name}`",
        "(the input)" if start is None else f"`{start}`",
        "(the output)" if end is None else f"`{end}`",
        str(len(part.layers)),
    )


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
