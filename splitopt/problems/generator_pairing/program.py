"""The integer program of `GeneratorPairing`, written down once for every modelling language.

send[i, j] is 1 where device i receives the generator of device j; pairs without a class that i
lacks and j covers are left out. n[i, c] is how many senders device i needs for class c.

    minimise    sum cost[i, j] send[i, j]  (+ sum lack[j, c] source[i, j, c] where quality counts)
    subject to  sum_{j covers c} send[i, j] >= n[i, c]                    covered[i, c]
                sum_i send[i, j] <= cap_j                                 cap[j]
    and where quality counts, with lack[j, c] = quality_weight (1 - quality[j, c]):
                sum_{j covers c} source[i, j, c] = n[i, c]                sourced[i, c]
                source[i, j, c] <= send[i, j]                             sent[i, j, c]

Values of ``source`` between 0 and 1 are never better, so that they need not be binary.
"""

from __future__ import annotations

import numpy as np

from splitopt.errors import InfeasibleError
from splitopt.problems.generator_pairing.data import GeneratorPairingData
from splitopt.problems.generator_pairing.decision import GeneratorPairingDecision
from splitopt.problems.generator_pairing.reasons import obvious_reason
from splitopt.problems.linear_program import LinearProgram, Values, Variable, times
from splitopt.problems.size import Size


def pairing_program(problem: GeneratorPairingData, unit_s: float) -> LinearProgram:
    """State the program with costs in units of `unit_s`.

    Raises
    ------
    InfeasibleError
        It shows without a search that there is no answer.
    """
    if (reason := obvious_reason(problem)) is not None:
        raise InfeasibleError(reason)
    program = LinearProgram("generator_pairing")
    sends: dict[int, dict[Variable, float]] = {}
    for i in range(problem.devices):
        missing = np.flatnonzero(problem.need[i])
        useful = problem.covers[:, missing]
        for j in np.flatnonzero(useful.any(axis=1)).tolist():
            if j != i:
                send = ("send", i, j)
                program.binary.append(send)
                program.objective[send] = float(problem.cost[i, j]) / unit_s
                sends.setdefault(j, {})[send] = 1.0
        for c in missing.tolist():
            _add_class(program, problem, i, c, unit_s)
    if (limits := problem.limits) is not None:
        for j, terms in sends.items():
            program.at_most("cap", (j,), terms, float(limits[j]))
    return program


def _add_class(
    program: LinearProgram, problem: GeneratorPairingData, i: int, c: int, unit_s: float
) -> None:
    """Add the rows of a class that a device lacks."""
    senders = [j for j in np.flatnonzero(problem.covers[:, c]).tolist() if j != i]
    need = float(problem.need[i, c])
    terms: dict[Variable, float] = {("send", i, j): 1.0 for j in senders}
    program.at_most("covered", (i, c), times(-1.0, terms), -need)
    if problem.penalty is None:
        return
    for j in senders:
        source = program.add_real(("source", i, j, c))
        program.objective[source] = float(problem.penalty[j, c]) / unit_s
        program.at_most("sent", (i, j, c), {source: 1.0, ("send", i, j): -1.0}, 0.0)
    program.equal("sourced", (i, c), {("source", i, j, c): 1.0 for j in senders}, need)


def program_size(problem: GeneratorPairingData) -> Size:
    """Count variables and rows, without building the program."""
    missing = problem.need > 0
    useful = missing.astype(np.int64) @ problem.covers.T.astype(np.int64)
    np.fill_diagonal(useful, 0)
    pairs, rows = int((useful > 0).sum()), int(missing.sum())
    rows += 0 if problem.limits is None else problem.devices
    if problem.penalty is None:
        return Size(pairs, rows)
    links = int(useful.sum())
    return Size(pairs + links, rows + int(missing.sum()) + links)


def read_senders(problem: GeneratorPairingData, values: Values) -> GeneratorPairingDecision:
    """Read the decision from values of send that are binary within a tolerance."""
    found: list[list[int]] = [[] for _ in range(problem.devices)]
    for (_, i, j), value in values.items():
        if value > 0.5:
            found[i].append(j)
    return GeneratorPairingDecision(tuple(np.array(row, dtype=np.int64) for row in found))
