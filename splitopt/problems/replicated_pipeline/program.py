"""The integer program of `ReplicatedPipeline`: a variable for every stage that there can be.

``stage[i, j, k, a]`` is 1 where the layers i to j - 1 are a stage with the devices of group k (see
`groups_of`), with recompute where a is 1. With tau its period, |k| and k_t its devices, and q the
most devices from it to the end for which its memory is enough,

    minimise    period
    subject to  sum over stages with layer l of stage = 1                     layer[l]
                sum over stages with layer l of tau stage <= period           busy[l]
                sum over stages of k_t stage <= n_t   (= n_t, all used)       devices[t]
                sum over stages from i on of |k| stage
                    + sum over stages that start at i of (N - q) stage <= N   memory[i]

Runs that cover every layer once are a row of stages. At most one stage starts at i, so that its own
q bounds the devices behind it, and nothing is asked where none starts there. Stages that are too
large for any number of devices behind them have no variable, and those with q = N no term.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from splitopt.errors import InfeasibleError, InputError
from splitopt.problems.base import IntArray
from splitopt.problems.linear_program import LinearProgram, Values, Variable
from splitopt.problems.replicated_pipeline.data import ReplicatedPipelineData
from splitopt.problems.replicated_pipeline.decision import ReplicatedPipelineDecision
from splitopt.problems.replicated_pipeline.reasons import obvious_reason
from splitopt.problems.replicated_pipeline.stages import stage_of
from splitopt.problems.size import Size


class _Column(NamedTuple):
    """A stage that may be: its variable, period in s, devices, and most devices to the end."""

    variable: Variable
    start: int
    end: int
    period_s: float
    devices: IntArray
    most: int


def pipeline_program(problem: ReplicatedPipelineData, unit_s: float) -> LinearProgram:
    """State the program with times in units of `unit_s`.

    Raises
    ------
    InputError
        The unit is no number of seconds above 0.
    InfeasibleError
        It shows without a search that there is no answer, or no stage fits.
    """
    if not 0 < unit_s < np.inf:
        raise InputError.at("unit_s", f"is {unit_s!r}, it must be a number of seconds above 0")
    if (reason := obvious_reason(problem)) is not None:
        raise InfeasibleError(reason)
    program = LinearProgram("replicated_pipeline")
    columns = list(_columns(problem))
    program.binary += [column.variable for column in columns]
    period = program.add_real(("period",))
    program.objective[period] = 1.0
    for layer in range(problem.layers):
        held = [column for column in columns if column.start <= layer < column.end]
        if not held:
            raise InfeasibleError(f"no stage with layer {layer} fits any devices")
        program.equal("layer", (layer,), {column.variable: 1.0 for column in held}, 1.0)
        busy = {column.variable: column.period_s / unit_s for column in held}
        program.at_most("busy", (layer,), {**busy, period: -1.0}, 0.0)
    add = program.equal if problem.use_all_devices else program.at_most
    for kind, count in enumerate(problem.devices.tolist()):
        terms = {c.variable: float(c.devices[kind]) for c in columns if c.devices[kind]}
        add("devices", (kind,), terms, float(count))
    _add_memory(program, problem, columns)
    return program


def _add_memory(
    program: LinearProgram, problem: ReplicatedPipelineData, columns: list[_Column]
) -> None:
    """Bound the devices from each stage to the end by what its memory allows."""
    total = problem.device_count
    for start in range(problem.layers):
        tight = {c.variable: total - c.most for c in columns if c.start == start and c.most < total}
        if not tight:
            continue
        terms: dict[Variable, float] = {}
        for column in columns:
            if column.start >= start:
                terms[column.variable] = float(column.devices.sum() + tight.get(column.variable, 0))
        program.at_most("memory", (start,), terms, float(total))


def groups_of(problem: ReplicatedPipelineData) -> list[IntArray]:
    """List the groups of devices that a stage may have, shape (T,) each."""
    counts = np.indices(tuple((problem.devices + 1).tolist())).reshape(problem.types, -1).T
    sizes = counts.sum(axis=1)
    return list(counts[(sizes > 0) & (sizes <= problem.most_replicas)])


def _columns(problem: ReplicatedPipelineData) -> Iterator[_Column]:
    """Iterate over the stages whose memory is enough for some number of devices behind them."""
    choices = {"never": (0,), "always": (1,), "choose": (0, 1)}[problem.recompute]
    groups = groups_of(problem)
    for start in range(problem.layers):
        for end in range(start + 1, problem.layers + 1):
            for number, devices in enumerate(groups):
                for again in choices:
                    most = _most_behind(problem, start, end, devices, bool(again))
                    if most < devices.sum():
                        continue
                    stage = stage_of(problem, start, end, devices, most, bool(again))
                    variable = ("stage", start, end, number, again)
                    yield _Column(variable, start, end, stage.period_s, devices, most)
                    if most == problem.device_count:
                        break  # recompute is no quicker, and no more would fit


def _most_behind(
    problem: ReplicatedPipelineData, start: int, end: int, devices: IntArray, again: bool
) -> int:
    """Return the most devices from a stage to the end with which it fits, by bisection; or 0."""
    low, high = int(devices.sum()) - 1, problem.device_count
    while low < high:
        middle = (low + high + 1) // 2
        if stage_of(problem, start, end, devices, middle, again).fits.all():
            low = middle
        else:
            high = middle - 1
    return low if low >= devices.sum() else 0


def program_size(problem: ReplicatedPipelineData) -> Size:
    """Count variables and rows (at most), without building the program."""
    runs = problem.layers * (problem.layers + 1) // 2
    ways = 2 if problem.recompute == "choose" else 1
    groups = int(np.prod((problem.devices + 1).astype(np.float64)))
    return Size(runs * ways * groups + 1, 3 * problem.layers + problem.types)


def read_stages(problem: ReplicatedPipelineData, values: Values) -> ReplicatedPipelineDecision:
    """Read the decision from values of the binaries that are 0 or 1 within a tolerance."""
    groups = groups_of(problem)
    chosen = sorted(variable[1:] for variable, value in values.items() if value > 0.5)
    starts = [0, *(end for _, end, *_ in chosen)]
    if [start for start, *_ in chosen] != starts[:-1] or starts[-1] != problem.layers:
        raise InputError("the model's solution has layers that are in no single stage")
    return ReplicatedPipelineDecision(
        np.array([end for _, end, *_ in chosen]),
        np.array([groups[number] for _, _, number, _ in chosen]),
        np.array([bool(again) for *_, again in chosen]),
    )
