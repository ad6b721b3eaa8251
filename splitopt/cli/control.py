"""``splitopt control``: a plan for every round of a trace, of clusters or a fleet with shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import with_flags
from splitopt.cli.solving_options import PlacementFlags
from splitopt.errors import InputError
from splitopt.storage.writing import write_atomic

if TYPE_CHECKING:
    from splitopt.planning.control.report import ControlReport
    from splitopt.planning.controller import Measured
    from splitopt.problems.base import FloatArray
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

    generated: Annotated[
        Path | None,
        typer.Option("--save-trace", metavar="FILE.csv", help="Write the rates that were drawn."),
    ] = None

    def rates(self, scenario: Scenario, seed: int) -> tuple[list[dict[str, FloatArray]], bool]:
        """Return rounds of rates as factors of the planned, and whether they were generated."""
        from splitopt.distributions import read_trace, write_trace
        from splitopt.planning.control.rates import COLUMNS, generated_rates, rounds_of

        if self.trace is not None:
            return rounds_of(read_trace(self.trace, COLUMNS), scenario)[: self.rounds], False
        trace = generated_rates(scenario, self.rounds or 20, seed=seed)
        if self.generated is not None:
            write_atomic(self.generated, write_trace(trace))
        return rounds_of(trace, scenario), True

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
        str | None,
        typer.Option("--cut", metavar="LAYER", help="Clusters: a fixed cut instead of saa's."),
    ] = None
    objective: Annotated[
        str | None,
        typer.Option(
            "--objective",
            metavar="NAME",
            help="Clusters: expected, or cvar, the worst tenth. Shares: sum, makespan, ...",
        ),
    ] = None
    policies: Annotated[
        str | None,
        typer.Option(
            "--policies",
            metavar="NAME,...",
            help="What to compare with: clairvoyant, static, random (clusters), periodic (shares).",
        ),
    ] = None
    period: Annotated[
        int | None,
        typer.Option("--period", metavar="N", min=1, help="Rounds between plans of 'periodic'."),
    ] = None
    gain: Annotated[
        float | None,
        typer.Option("--gain", metavar="PART", help="Shares: what a change of cuts must gain."),
    ] = None
    hysteresis: Annotated[
        float | None,
        typer.Option("--hysteresis", metavar="H", help="Shares: 1 + H times that to go back."),
    ] = None
    moving: Annotated[
        bool, typer.Option("--moving", help="Shares: layers that a device lacks are fetched.")
    ] = False
    delay: Annotated[
        int, typer.Option("--delay", metavar="N", min=0, help="Age of measurements in rounds.")
    ] = 0
    swaps: Annotated[
        int | None,
        typer.Option("--swaps", metavar="N", min=1, help="Clusters: swaps of a round; 3000."),
    ] = None

    def others(self, default: str) -> list[str]:
        """Return the policies to compare with."""
        return [name for name in (self.policies or default).split(",") if name]

    def expect_only(self, kind: str, names: tuple[str, ...]) -> None:
        """Reject options that are for the other kind of fleet."""
        for name in names:
            if getattr(self, name) not in (None, False):
                raise InputError.at(f"--{name}", f"is not for {kind}; leave it out")


@with_flags
def command(
    scenario: shared.ScenarioFile,
    *,
    taken: RoundFlags,
    policy: PolicyFlags,
    outputs: OutputFlags,
    option: shared.SolverOptions = None,
    time_limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit",
            metavar="S",
            min=0.0,
            help="Seconds the solver may take; with shares for each plan, 1 by default, else 60.",
        ),
    ] = None,
    seed: shared.Seed = 0,
    place: PlacementFlags,
    as_json: shared.AsJson = False,
) -> int:
    """Plan every round of a trace anew, and compare with other policies.

    Clusters (a scenario with distributions): saa fixes the cut, then clusters and subcarriers
    follow. A fleet with shares: cuts and shares follow the rates, each plan with its gap.

    Example: splitopt control cell.yaml --trace rounds.csv -o latency.csv --plot latency.svg
    """
    from splitopt.problems.inputs import expect_fleet
    from splitopt.scenario import Scenario

    shared.check_outputs(scenario, outputs.output, outputs.plot, taken.generated)
    given = Scenario.load(scenario)
    expect_fleet(given, str(scenario))
    if given.distributions is None and given.clusters is None:
        report = _fleet(given, taken, policy, option, time_limit, seed)
    else:
        limit = shared.DEFAULT_TIME_LIMIT_S if time_limit is None else time_limit
        report = _clusters(given, taken, policy, place, option, limit, seed)
    outputs.write(report)
    if as_json:
        shared.print_json(report.to_dict())
    else:
        _print(report)
    return 0


def _fleet(
    given: Scenario,
    taken: RoundFlags,
    policy: PolicyFlags,
    option: shared.SolverOptions,
    time_limit: float | None,
    seed: int,
) -> ControlReport:
    """Replay a trace of rates on a fleet with shares."""
    from splitopt.planning.control.fleet import FleetController
    from splitopt.planning.control.replan import Damping
    from splitopt.planning.control.replay import replay_fleet

    policy.expect_only("a fleet with shares", ("cut", "swaps"))
    if option:
        raise InputError.at("-O", "is not for a fleet with shares; leave it out")
    rounds, generated = taken.rates(given, seed)
    stated = {"gain": policy.gain, "hysteresis": policy.hysteresis}
    damping = Damping(**{key: value for key, value in stated.items() if value is not None})
    objective = policy.objective or "sum"
    limits = {} if time_limit is None else {"time_limit_s": time_limit}
    controller = FleetController.start(
        given, objective, damping=damping, moving=policy.moving, **limits
    )
    words = "the rates were generated by a random model (Gauss-Markov shadowing), not measured"
    return replay_fleet(
        controller,
        rounds,
        policy.others("clairvoyant,static,periodic"),
        delay=policy.delay,
        period=policy.period or 10,
        notes=(words,) if generated else (),
    )


def _clusters(
    given: Scenario,
    taken: RoundFlags,
    policy: PolicyFlags,
    place: PlacementFlags,
    option: shared.SolverOptions,
    time_limit: float,
    seed: int,
) -> ControlReport:
    """Replay rounds of clusters under a cut that stays."""
    from splitopt.planning.controller import Controller

    policy.expect_only("clusters", ("period", "gain", "hysteresis", "moving"))
    if taken.generated is not None:
        raise InputError.at("--save-trace", "is for rates of a fleet with shares; leave it out")
    measured = taken.measured(given)
    objective, swaps = policy.objective or "expected", policy.swaps or 3000
    fixed = {"cut": policy.cut, "objective": objective, "swaps": swaps}
    limits = {"seed": seed, "time_limit_s": time_limit}
    arguments = shared.solver_arguments({**fixed, **limits, **place.arguments()}, option)
    controller = Controller.start(given, **arguments)
    names = policy.others("clairvoyant,static,random")
    rounds = controller.draw_rounds(taken.rounds or 20) if measured is None else measured
    return controller.replay(rounds, names, policy.delay, drawn=measured is None)


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
    if report.largest_gap is not None:
        moved = sum(r.moved or 0 for r in report.rounds)
        typer.echo(
            f"certified gap of its plans at most {100 * report.largest_gap:.3g} %, "
            f"{moved} changes of cuts"
        )
    for note in report.notes:
        typer.echo(f"note: {note}")
    if report.interrupted:
        typer.echo("interrupted: these are the rounds that were done")
