"""``mp-sl``: a pipeline as a workbook of MP-SL's form, and who hosts which layers.

Form: the workbooks ``MODEL_DATASET.xlsx`` that the authors of MP-SL published: a sheet for each
machine with milliseconds of the forward pass, the backward pass and the weight update of each
layer for a batch, zeros where nothing was measured, and a sheet ``memory`` with KB of activations
for the batch and of weights. `splitopt.profiles.read` reads them.
"""

from __future__ import annotations

import csv
import io
import math
import re
from datetime import datetime
from typing import Any

import numpy as np

from splitopt.errors import CapabilityError, InputError, shown
from splitopt.export.markdown import table
from splitopt.export.plan_job import PLAN_FILE, PlanJob, plan_bytes
from splitopt.latency.layer_seconds import FloatArray, LayerSeconds, layer_seconds
from splitopt.planning.predictions.pipeline_partition import PipelinePartitionPrediction
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.profiles import ModelProfile
from splitopt.profiles.counting.sample_gradients import of_nodes

needs = ("xlsxwriter",)
MEMORY = "memory"
KIB = 1024.0
_MOST_OF_A_NAME = 31
_NO_SHEET = re.compile(r"[\[\]:*?/\\]|^'|'$")
_ALL_ALIKE = datetime(2020, 1, 1)  # a plan gives the same bytes whenever it is written


def files(job: PlanJob) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    CapabilityError
        The plan is of no pipeline, or has what MP-SL's instances cannot say: links between nodes,
        or a profile without the sizes of its layers.
    InputError
        Two machines of one name with other times, or a name that no sheet can have.
    """
    problem, decision = job.opened.problem, job.opened.decision
    if not isinstance(problem, PipelinePartition):
        raise CapabilityError(
            f"the plan is of {job.plan.problem}, and MP-SL partitions pipelines; plan a scenario "
            "with 'nodes'"
        )
    if problem.links.model != "none":
        raise CapabilityError(
            f"links.nodes: is {problem.links.model!r}, and instances of MP-SL have no links "
            "between nodes; plan without links.nodes, or with {model: none}"
        )
    assert isinstance(decision, PipelinePartitionDecision)
    prediction = job.opened.prediction
    assert isinstance(prediction, PipelinePartitionPrediction)
    profile = job.opened.profile
    rows = _assignment(job, decision, prediction)
    return {
        f"{_file_name(profile.name)}.xlsx": _workbook(job, prediction),
        "assignment.csv": _csv(rows),
        PLAN_FILE: plan_bytes(job.plan),
        "README.md": _page(job, prediction, rows).encode(),
    }


def _file_name(name: str) -> str:
    """Return a name without what file systems refuse."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name).strip(".-") or "model"


def _workbook(job: PlanJob, prediction: PipelinePartitionPrediction) -> bytes:
    import xlsxwriter

    written = io.BytesIO()
    book = xlsxwriter.Workbook(written, {"in_memory": True})
    book.set_properties({"created": _ALL_ALIKE})
    for name, columns in _sheets(job, prediction).items():
        sheet = book.add_worksheet(name)
        for row, cells in enumerate(columns):
            for place, cell in enumerate(cells):
                sheet.write_number(row, place, float(cell))
    book.close()
    return written.getvalue()


def _sheets(job: PlanJob, prediction: PipelinePartitionPrediction) -> dict[str, FloatArray]:
    """Return sheet -> rows, shape (L, 3), for a batch; ``memory`` has two columns."""
    scenario, profile = job.opened.scenario, job.opened.profile
    first, last, batch = prediction.first_cut, prediction.last_cut, prediction.batch_size
    inner = np.zeros(profile.layer_count, dtype=np.bool_)
    inner[first:last] = True
    found: dict[str, FloatArray] = {}
    theirs = of_nodes(profile)
    for entries, known, asked in (
        (scenario.nodes, theirs, inner),
        (scenario.devices, profile, ~inner),
    ):
        for entry in entries:
            if entry.name.lower() == MEMORY or any(
                entry.name.lower() == other.lower() for other in found
            ):
                raise InputError.at(
                    entry.name, "is the name of another sheet of the workbook; rename the machine"
                )
            seconds = layer_seconds(
                known, entry.speed, getattr(entry, "slowdown", None) or 1.0, asked
            )
            found[_sheet_name(entry.name)] = _milliseconds(seconds, asked, batch)
    return {**found, MEMORY: _sizes(profile, batch)}


def _sheet_name(name: str) -> str:
    if len(name) > _MOST_OF_A_NAME or _NO_SHEET.search(name):
        raise InputError.at(
            "name",
            f"{shown(name)} is no name of a sheet: up to {_MOST_OF_A_NAME} characters without "
            "[ ] : * ? / \\; rename the machine",
        )
    return name


def _milliseconds(seconds: LayerSeconds, asked: Any, batch: int) -> FloatArray:
    """Shape (L, 3): ms for a batch; rows of zeros for layers that the machine never computes.

    The update of a measured machine is part of its backward pass here, as in the plan.
    """
    both = np.stack([seconds.forward, seconds.backward, np.zeros(len(seconds.forward))], axis=1)
    rows: FloatArray = np.where(asked[:, None], 1e3 * batch * both, 0.0)
    return rows


def _sizes(profile: ModelProfile, batch: int) -> FloatArray:
    """Shape (L, 2): KB of the activations of a batch and of the weights, by layer."""
    if profile.layer_output_bytes is None:
        raise CapabilityError(
            f"profile {profile.name!r} does not say what each layer puts out, which the sheet "
            f"{MEMORY!r} needs; trace the model, or take another profile"
        )
    weights = profile.layer_parameter_bytes
    if weights is None:
        weights = np.diff(profile.device_model_bytes, prepend=0.0)
    sizes: FloatArray = np.stack([batch * profile.layer_output_bytes, weights], axis=1) / KIB
    return sizes


def _assignment(
    job: PlanJob, decision: PipelinePartitionDecision, prediction: PipelinePartitionPrediction
) -> list[tuple[str, int, int]]:
    """Return who has which layers, from 1, in the order of the way; owners have both ends."""
    hosts = [node.name for node in job.opened.scenario.node_list()]
    first, last = prediction.first_cut, prediction.last_cut
    ends = [first + end for end in decision.chain.boundaries.tolist()]
    nodes = [
        (hosts[node], start + 1, end)
        for node, start, end in zip(decision.chain.nodes.tolist(), ends, ends[1:], strict=False)
    ]
    layers = job.opened.profile.layer_count
    behind = [("owner", last + 1, layers)] if last < layers else []
    return [("owner", 1, first), *nodes, *behind]


def _csv(rows: list[tuple[str, int, int]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(("host", "first layer", "last layer"))
    writer.writerows(rows)
    return text.getvalue().encode()


def _page(
    job: PlanJob, prediction: PipelinePartitionPrediction, rows: list[tuple[str, int, int]]
) -> str:
    layers = job.opened.profile.layers
    shown_rows = [
        (host, str(start), str(end), f"{layers[start - 1]} to {layers[end - 1]}")
        for host, start, end in rows
    ]
    limits = [
        f"{node.name}: {'none' if not math.isfinite(size) else f'{size / KIB:,.1f} KB'}"
        for node, size in zip(
            job.opened.scenario.node_list(),
            job.opened.problem.node_memory_bytes.tolist(),  # type: ignore[union-attr]
            strict=True,
        )
    ]
    return (
        "\n\n".join(
            [
                f"# {job.opened.profile.name} for MP-SL",
                f"The pipeline of the scenario `{job.opened.scenario.name}` by its plan, as an "
                "instance of MP-SL with its solution, written by splitopt.",
                table(("Host", "First layer", "Last layer", "Layers"), shown_rows),
                f"A batch has {prediction.batch_size} samples, and there are {prediction.owners} "
                f"owners. The longest forward and the longest backward pass of a node add up to "
                f"{prediction.paper_period_s:.6g} s (MP-SL, Eq. 3).",
                f"Memory of the nodes: {'; '.join(limits)}.",
                _KEPT,
            ]
        )
        + "\n"
    )


_KEPT = """## What is kept of the plan, and what is not

The workbook has a sheet for each entry of the scenario's nodes and devices: milliseconds of the
forward pass, the backward pass and the weight update of each layer for a batch. Rows of zeros are
layers that the machine does not compute. The weight update is part of the backward pass. `memory`
has KB (1,024 bytes) of activations for the batch and of weights.

MP-SL's instances have no rates, prices, batches of single owners or order of nodes; these are in
`plan.json`, which `splitopt import` reads back. MP-SL's own job files have no documented form, and
none is written."""
