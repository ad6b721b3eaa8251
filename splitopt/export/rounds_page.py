"""The page of a plan that a foreign framework trains: what is the same for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from splitopt.export.job import Job
from splitopt.export.markdown import table
from splitopt.export.readme import client_rows, part_row, trained_on

KEPT = """## What is kept of the plan, and what is not

Kept are cuts, samples, batches and their order, local epochs, weights of averages, and the order in
which SplitFedV2 serves. Steps are plain SGD without momentum, the loss is the cross-entropy. Layers
that draw random numbers, such as dropout, draw others than in `splitopt train`."""
DATA = """Data are a folder with `NAME.npz` for each client (`x` and `y`), as for `splitopt train
--partition own`."""


def rounds_page(
    job: Job, spec: dict[str, Any], title: str, what: str, sections: Sequence[str]
) -> str:
    """Write the README of a folder.

    Parameters
    ----------
    job
        What is exported.
    spec
        Of `splitopt.export.rounds.spec_of`.
    title, what
        How the model and its training are called, such as ``"as a Flower app"`` and
        ``"2 clients of Flower"``.
    sections
        How it is run, and what is kept of the plan.
    """
    serving = "batch by batch" if spec["batch_by_batch"] else "client by client"
    how = {
        "splitfed_v1": "the server has a copy of its part for every client; all copies are "
        "averaged by samples",
        "splitfed_v2": f"one part of the server learns from all clients, {serving}; device parts "
        "are averaged by samples",
        "federated": "every client trains the whole model; models are averaged by samples",
    }[spec["scheme"]]
    *first, last = sections
    written = [
        f"# {job.program.profile.name} {title}",
        f"The training of the scenario `{job.program.scenario.name}` by its plan, as {what}, "
        f"written by splitopt. Scheme `{spec['scheme']}`: {how}.",
        *trained_on(job.program.scenario),
        *first,
        table(("Part", "From behind", "To behind", "Layers"), map(part_row, job.parts)),
        table(("Client", "Who holds its parts"), client_rows(job)),
        last,
    ]
    return "\n\n".join(written) + "\n"
