"""``splitopt control``: one cut, and a plan for every round of a trace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import with_flags
from splitopt.cli.solving_options import PlacementFlags
from splitopt.storage.writing import write_atomic

if TYPE_CHECKING:
    from splitopt.planning.control.report import ControlReport
    from splitopt.planning.controller import Measured
    from splitopt.scenario import Scenario


@dataclass(frozen=True)
class OutputFlags:
    """The files to write, None for those that are not wanted."""

    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.csv", help="A row per round.")
    ] = None
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.svg", help="Latency by round.")
    ] = None

    def write(self, report: ControlReport) -> None:
        """Write the rows and the chart."""
        if self.output is not None:
            write_atomic(self.output, report.to_csv())
        if self.plot is not None:
            from splitopt.report.control import latency_chart

            write_atomic(self.plot, latency_chart(report))


@dataclass(frozen=True)
class RoundFlags:
    """Which rounds are planned."""

    trace: Annotated[
        Path | None,
        typer.Option("--trace", metavar="FILE.csv", help="Measured rounds; else they are drawn."),
    ] = None
    rounds: Annotated[
        int | None, typer.Option("--rounds", metavar="R", min=1, help="Rounds; 20 if drawn.")
    ] = None

    def measured(self, scenario: Scenario) -> list[Measured] | None:
        """Read the measured rounds of a scenario; None where rounds are to be drawn."""
        if self.trace is None:
            return None
        from splitopt.distributions import read_trace
        from splitopt.planning.controller import measured_rounds
        from splitopt.scenario.varying import COMPUTE, SNR

        return measured_rounds(read_trace(self.trace, (COMPUTE, SNR)), scenario)[: self.rounds]


@dataclass(frozen=True)
class PolicyFlags:
    """How rounds are planned, and what that is compared with."""

    cut: Annotated[
        str | None, typer.Option("--cut", metavar="LAYER", help="A fixed cut instead of saa's.")
    ] = None
    objective: Annotated[
        str,
        typer.Option("--objective", metavar="NAME", help="expected, or cvar: the worst tenth."),
    ] = "expected"
    policies: Annotated[
        str,
        typer.Option("--policies", metavar="NAME,...", help="What to compare with."),
    ] = "clairvoyant,static,random"
    delay: Annotated[
        int, typer.Option("--delay", metavar="N", min=0, help="Age of measurements in rounds.")
    ] = 0
    swaps: Annotated[
        int, typer.Option("--swaps", metavar="N", min=1, help="Swaps that a round's plan may take.")
    ] = 3000


@with_flags
def command(
    scenario: shared.ScenarioFile,
    *,
    taken: RoundFlags,
    policy: PolicyFlags,
    outputs: OutputFlags,
    option: shared.SolverOptions = None,
    time_limit: shared.TimeLimit = shared.DEFAULT_TIME_LIMIT_S,
    seed: shared.Seed = 0,
    place: PlacementFlags,
    as_json: shared.AsJson = False,
) -> int:
    """Fix the cut under uncertainty, then plan every round anew, and compare with other policies.

    Example: splitopt control cell.yaml --trace rounds.csv -o latency.csv --plot latency.svg
    """
    from splitopt.planning.controller import Controller
    from splitopt.scenario import Scenario

    shared.check_outputs(scenario, outputs.output, outputs.plot)
    given = Scenario.load(scenario)
    measured = taken.measured(given)
    fixed = {"cut": policy.cut, "objective": policy.objective, "swaps": policy.swaps}
    limits = {"seed": seed, "time_limit_s": time_limit}
    arguments = shared.solver_arguments({**fixed, **limits, **place.arguments()}, option)
    controller = Controller.start(given, **arguments)
    names = [name for name in policy.policies.split(",") if name]
    rounds = controller.draw_rounds(taken.rounds or 20) if measured is None else measured
    report = controller.replay(rounds, names, policy.delay, drawn=measured is None)
    outputs.write(report)
    if as_json:
        shared.print_json(report.to_dict())
    else:
        _print(report)
    return 0


def _print(report: ControlReport) -> None:
    from splitopt.report.numbers import seconds

    typer.echo(f"cut {report.cut}, {len(report.rounds)} rounds")
    for name, row in report.summary().items():
        sure = ""
        if "mean_low_s" in row:
            low, high = seconds(row["mean_low_s"]), seconds(row["mean_high_s"])
            sure = f" (of all rounds {low} to {high} s, 95 % confidence)"
        tail = ""
        if report.objective == "cvar":
            worst = f"{100 * (1 - report.cvar_level):g}"
            tail = f"worst {worst} % {seconds(row['cvar_s'])} s, "
        typer.echo(
            f"{name:<12} mean {seconds(row['mean_s'])} s{sure}, {tail}"
            f"most {seconds(row['most_s'])} s, "
            f"{100 * (row['relative'] - 1):+.2f} % against the controller"
        )
    median = report.to_dict()["plan_median_s"]
    if median is not None:
        typer.echo(f"planning a round took {1000 * median:.1f} ms (median)")
    for note in report.notes:
        typer.echo(f"note: {note}")
    if report.interrupted:
        typer.echo("interrupted: these are the rounds that were done")
