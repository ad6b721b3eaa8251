"""``pipeedge``: the pipeline of a plan as the files of PipeEdge's scheduler and its schedule.

PipeEdge infers, so that times are of forward passes and only activations cross a cut. The layers
are those between the owners' cuts. Form: PipeEdge's ``README_Scheduler.md``.
"""

from __future__ import annotations

import math
from typing import Any

from splitopt.documents.yaml_text import write_yaml
from splitopt.errors import CapabilityError
from splitopt.export.markdown import table
from splitopt.export.plan_job import PLAN_FILE, PlanJob, plan_bytes
from splitopt.planning.predictions.pipeline_partition import PipelinePartitionPrediction
from splitopt.problems.pipeline_partition import PipelinePartition, PipelinePartitionDecision
from splitopt.profiles.readers.pipeedge import DTYPE, DTYPE_BYTES, MIB
from splitopt.scenario import Scenario

LINKS = ("uniform", "nic")
"""Link models that a rate for each device type can say."""


def files(job: PlanJob) -> dict[str, bytes]:
    """Return the files of the folder, by name.

    Raises
    ------
    CapabilityError
        The plan is of no pipeline, or its links are none that PipeEdge can describe.
    """
    problem, decision = job.opened.problem, job.opened.decision
    if not isinstance(problem, PipelinePartition):
        raise CapabilityError(
            f"the plan is of {job.plan.problem}, and PipeEdge runs pipelines; plan a scenario with "
            "'nodes'"
        )
    prediction = job.opened.prediction
    assert isinstance(decision, PipelinePartitionDecision)
    assert isinstance(prediction, PipelinePartitionPrediction)
    if problem.links.model not in LINKS:
        raise CapabilityError(
            f"links.nodes: is {problem.links.model!r}, and PipeEdge has a rate for each device "
            f"type; plan with {' or '.join(map(repr, LINKS))}"
        )
    batch = prediction.batch_size
    name = job.opened.profile.name
    scenario = job.opened.scenario
    schedule = _schedule(decision, [node.name for node in scenario.node_list()])
    documents: dict[str, Any] = {
        "models.yml": {name: _model(problem, batch)},
        "device_types.yml": _types(problem, scenario, name, batch),
        "devices.yml": {node.name: node.names() for node in scenario.nodes},
        "schedule.yml": schedule,
    }
    return {
        **{file: write_yaml(document).encode() for file, document in documents.items()},
        PLAN_FILE: plan_bytes(job.plan),
        "README.md": _page(job, schedule, prediction).encode(),
    }


def _model(problem: PipelinePartition, batch: int) -> dict[str, Any]:
    values = [math.ceil(size / batch / DTYPE_BYTES) for size in problem.cut_up_bytes]
    memory = problem.owners * problem.layer_memory_bytes / MIB
    return {
        "layers": len(memory),
        "mem_MB": memory.tolist(),
        "parameters_in": values[0],
        "parameters_out": values[1:],
    }


def _types(
    problem: PipelinePartition, scenario: Scenario, model: str, batch: int
) -> dict[str, Any]:
    """Return a device type for each entry of the scenario's nodes; alike ones are hosts of it."""
    found, place = {}, 0
    for node in scenario.nodes:
        rates = problem.links.bandwidth_bytes_per_s
        assert rates is not None  # both models have them
        rate = float(rates if rates.ndim == 0 else rates[place])
        profile = {
            "batch_size": batch,
            "dtype": DTYPE,
            "time_s": problem.forward_s[place].tolist(),
        }
        found[node.name] = {
            "bw_Mbps": 8 * rate / MIB,
            "mem_MB": _mib(float(problem.node_memory_bytes[place])),
            "model_profiles": {model: [profile]},
        }
        place += node.count
    return found


def _mib(size: float) -> float:
    """Return bytes in MiB; a node without a limit has the most that PipeEdge can add up."""
    return size / MIB if math.isfinite(size) else float(2**40)


def _schedule(decision: PipelinePartitionDecision, hosts: list[str]) -> list[dict[str, list[int]]]:
    """Return who has which layers, from 1, in the order of the pipeline."""
    chain = decision.chain
    ends = chain.boundaries.tolist()
    return [
        {hosts[node]: [start + 1, end]}
        for node, start, end in zip(chain.nodes.tolist(), ends, ends[1:], strict=False)
    ]


def _page(
    job: PlanJob,
    schedule: list[dict[str, list[int]]],
    prediction: PipelinePartitionPrediction,
) -> str:
    layers, first = job.opened.profile.layers, prediction.first_cut
    batch = prediction.batch_size
    rows = [
        (host, str(start), str(end), f"{layers[first + start - 1]} to {layers[first + end - 1]}")
        for stage in schedule
        for host, (start, end) in stage.items()
    ]
    name = job.opened.profile.name
    sections = [
        f"# {name} for PipeEdge",
        f"The pipeline of the scenario `{job.opened.scenario.name}` by its plan, as files of "
        "PipeEdge's scheduler, written by splitopt.",
        table(("Host", "First layer", "Last layer", "Layers"), rows),
        f"`schedule.yml` is what `sched-pipeline` would print. To let it schedule anew:\n\n"
        f"```sh\nsched-pipeline -m {name} -b {batch} -M models.yml -T device_types.yml "
        "-D devices.yml\n```",
        _KEPT,
    ]
    return "\n\n".join(sections) + "\n"


_KEPT = """## What is kept of the plan, and what is not

Layers are those between the owners' cuts, counted from 1. `time_s` are the seconds of their forward
passes for a batch, `parameters_out` numbers of float32, `mem_MB` the memory that the plan counts
for all owners, to which PipeEdge's scheduler adds buffers of its own. Its MB and Mbit are 2^20.

PipeEdge infers: backward passes, gradients, the owners' own layers, latencies of links and prices
are not there. A schedule of `sched-pipeline` is the best for forward passes, which the plan's need
not be."""
