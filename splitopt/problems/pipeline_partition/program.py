"""MP-SL's integer program, written down once for every modelling language; see `formulation`."""

from __future__ import annotations

from collections.abc import Sequence

from splitopt.problems.linear_program import LinearProgram, Variable, plus, times
from splitopt.problems.pipeline_partition.data import PipelinePartitionData
from splitopt.problems.pipeline_partition.formulation import (
    Numbers,
    check_contiguity,
    later_pairs,
)


def partition_program(
    problem: PipelinePartitionData, contiguity: str, unit_s: float
) -> LinearProgram:
    """State the program.

    Its variables are ``x[i, j]``, ``start[i, j]`` (linear contiguity), ``end[i, j]`` (interfaces)
    and ``period`` (with ``round`` for that objective) or, for the objective ``"paper"``,
    ``fill_forward`` and ``fill_backward``. Its
    rows are those of the formulation and, for busy times, ``node_time[i]``, ``link_time[c]``,
    ``interface_time[i]``, ``receive_time[i]`` and ``send_time[i]``; for a round ``round_time[k]``
    and ``channel_time[k]``.
    """
    check_contiguity(problem, contiguity)
    numbers = Numbers.of(problem, unit_s)
    program = LinearProgram("pipeline_partition")
    program.binary.extend(("x", i, j) for i, j in numbers.pairs)
    _add_use(program, numbers)
    if contiguity == "linear":
        _add_runs(program, numbers)
    else:
        _add_products(program, numbers)
    if problem.order == "given":
        _add_order(program, numbers)
    _add_objective(program, numbers)
    return program


def _total(kind: str, pairs: Sequence[tuple[int, int]]) -> dict[Variable, float]:
    return {(kind, i, j): 1.0 for i, j in pairs}


def _add_use(program: LinearProgram, numbers: Numbers) -> None:
    """Add one node for each layer, a layer for each node that must be used, and memory."""
    for j, hosts in numbers.nodes_of().items():
        program.equal("one_node", (j,), _total("x", [(i, j) for i in hosts]), 1.0)
    for i, layers in numbers.layers_of().items():
        if numbers.problem.use_all_nodes:
            program.at_most("used", (i,), times(-1.0, _total("x", [(i, j) for j in layers])), -1.0)
        program.at_most("memory", (i,), numbers.memory(i), numbers.memory_limit(i))


def _add_runs(program: LinearProgram, numbers: Numbers) -> None:
    """Add where runs start, and where they end if anything depends on it."""
    pairs = set(numbers.pairs)
    kinds = [("start", "starts", "one_run", -1)]
    if numbers.has_ends:
        kinds.append(("end", "ends", "one_end", 1))
    for kind, rows, one, step in kinds:
        for i, j in numbers.pairs:
            run = program.add_real((kind, i, j))
            beside = _total("x", [(i, j + step)]) if (i, j + step) in pairs else {}
            terms = plus(_total("x", [(i, j)]), times(-1.0, beside), {run: -1.0})
            program.at_most(rows, (i, j), terms, 0.0)
        for i, layers in numbers.layers_of().items():
            exactly = kind == "start" and numbers.problem.use_all_nodes
            add = program.equal if exactly else program.at_most
            add(one, (i,), _total(kind, [(i, j) for j in layers]), 1.0)


def _add_products(program: LinearProgram, numbers: Numbers) -> None:
    """Add the corrected Eq. 7."""
    pairs = set(numbers.pairs)
    for i, layers in numbers.layers_of().items():
        for k, j in later_pairs(layers):
            terms = {(("x", i, j), ("x", i, k - 1)): 1.0}
            if (i, k) in pairs:
                terms[("x", i, j), ("x", i, k)] = -1.0
            program.products.setdefault("contiguous", {})[i, k, j] = terms


def _add_order(program: LinearProgram, numbers: Numbers) -> None:
    """Add rows that order the nodes of the chain by index."""
    hosts = numbers.nodes_of()
    for i in range(numbers.problem.nodes - 1):
        for j in range(numbers.problem.layers - 1):
            here = _total("x", [(h, j) for h in hosts[j] if h <= i])
            after = _total("x", [(h, j + 1) for h in hosts[j + 1] if h <= i])
            if after:
                program.at_most("in_order", (i, j), plus(after, times(-1.0, here)), 0.0)


def _add_objective(program: LinearProgram, numbers: Numbers) -> None:
    """Minimise the period, Eq. 3, the epoch, or the round."""
    problem = numbers.problem
    if problem.objective == "paper":
        for name, table in (("forward", problem.forward_s), ("backward", problem.backward_s)):
            fill = program.add_real((f"fill_{name}",))
            program.objective[fill] = 1.0
            for i in range(problem.nodes):
                node = plus(numbers.computing(i, table), {fill: -1.0})
                program.at_most(f"{name}_time", (i,), node, 0.0)
        return
    period = program.add_real(("period",))
    for kind, index, busy in numbers.busy():
        program.at_most(kind, (index,), plus(busy, {period: -1.0}), 0.0)
    program.objective = {period: 1.0}
    if problem.objective == "round":
        _add_round(program, numbers, period)
    if problem.objective == "epoch":
        assert problem.batches is not None  # the problem saw to it
        program.objective = numbers.latency() | {period: problem.batches - 1.0}
        program.constant = numbers.owner_time


def _add_round(program: LinearProgram, numbers: Numbers, period: Variable) -> None:
    """Minimise the round: the larger of a full pipeline and each owner's own batches."""
    rows, constants, channels, aggregation = numbers.round_rows()
    whole = program.add_real(("round",))
    for index, (terms, constant) in enumerate(zip(rows, constants, strict=True)):
        program.at_most("round_time", (index,), plus(terms, {whole: -1.0}), -constant)
    for index, busy in enumerate(channels):
        program.at_most("channel_time", (index,), {period: -1.0}, -busy)
    program.objective, program.constant = {whole: 1.0}, aggregation
