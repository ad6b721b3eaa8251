"""The deterministic equivalent of CPSL's problem P_L: one cut now, a round in every sample later.

``cut[v]`` is 1 for the cut that is taken (first stage). Every sample j has the round of
`splitopt.problems.cluster_and_spectrum.formulation` for every cut v (second stage), which is empty
unless its cut is taken; D[j] is what the rounds of sample j take:

    minimise    mean_j D[j]                                              ("expected")
                value_at_risk + mean_j excess[j] / (1 - level)           ("cvar", see `risk.cvar`)
    subject to  sum_v cut[v] = 1                                         one_cut
                D[j] - value_at_risk <= excess[j]                        beyond[j]
                and the rows of every round, indexed [j, v, ...]

It grows with samples times cuts times devices times clusters times subcarriers: for small sizes.
"""

from __future__ import annotations

import math

from splitopt.errors import InfeasibleError
from splitopt.problems.cluster_and_spectrum.formulation import add_round, check_unit, read_round
from splitopt.problems.cut_under_uncertainty.data import CutUnderUncertaintyData
from splitopt.problems.cut_under_uncertainty.decision import CutUnderUncertaintyDecision
from splitopt.problems.linear_program import LinearProgram, Values, Variable, plus, times


def equivalent_program(problem: CutUnderUncertaintyData, unit_s: float) -> LinearProgram:
    """State the deterministic equivalent over the problem's own samples.

    Raises
    ------
    InputError
        The unit of time is not above 0.
    InfeasibleError
        A cluster has more devices than there are subcarriers.
    """
    check_unit(unit_s)
    if (reason := problem.infeasibility()) is not None:
        raise InfeasibleError(reason)
    program = LinearProgram("cut_under_uncertainty")
    cuts: list[Variable] = [("cut", v) for v in range(len(problem.cuts))]
    program.binary.extend(cuts)
    program.equal("one_cut", (), dict.fromkeys(cuts, 1.0), 1.0)
    latencies = []
    for j in range(problem.samples):
        rounds = [
            add_round(program, problem.block(j, v), unit_s, (j, v), on=cut)[0]
            for v, cut in enumerate(cuts)
        ]
        latencies.append(plus(*rounds))
    share = 1.0 / problem.samples
    if problem.objective == "expected":
        program.objective = times(share, plus(*latencies))
        return program
    threshold = program.add_real(("value_at_risk",), -math.inf)
    program.objective = {threshold: 1.0}
    for j, latency in enumerate(latencies):
        excess = program.add_real(("excess", j))
        program.at_most("beyond", (j,), plus(latency, {threshold: -1.0, excess: -1.0}), 0.0)
        program.objective[excess] = share / (1.0 - problem.cvar_level)
    return program


def read_equivalent(
    problem: CutUnderUncertaintyData, values: Values
) -> CutUnderUncertaintyDecision:
    """Read the cut and the recourse of every sample, with the best subcarriers."""
    cut = max(range(len(problem.cuts)), key=lambda v: values["cut", v])
    answers = [read_round(problem.block(j, cut), values, (j, cut)) for j in range(problem.samples)]
    return CutUnderUncertaintyDecision(cut, tuple(answers))
