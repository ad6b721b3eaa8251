"""``splitopt plan``: a scenario file to a certified plan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import with_flags
from splitopt.cli.solving_options import PlacementFlags, SolverFlags
from splitopt.errors import InputError
from splitopt.storage.writing import write_atomic

if TYPE_CHECKING:
    from splitopt.plans import Plan
    from splitopt.scenario import Scenario


@dataclass(frozen=True)
class OutputFlags:
    """The files to write, None for those that are not wanted."""

    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="PLAN.json", help="Write the plan.")
    ] = None
    report: shared.PageFile = None
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE.csv",
            help="Write a row per step of IoTSL (of a scenario with generators.training).",
        ),
    ] = None

    def check(self, scenario: Scenario, question: QuestionFlags) -> None:
        """Reject a table of steps where a plan has none, before anything is planned."""
        from splitopt.planning.planner import default_problem

        if self.csv is None:
            return
        other = question.scheme is not None or question.pareto
        asked = question.problem or default_problem(scenario)
        section = scenario.generators
        has_steps = section is not None and section.training is not None
        if other or asked != "generator_pairing" or not has_steps:
            raise InputError(
                "--csv writes the steps of IoTSL, which a plan has where the scenario states "
                "'generators.training' and no other problem is asked; leave it out"
            )

    def write(self, found: Plan) -> None:
        """Write the plan, its page and its steps."""
        if self.csv is not None and found.prediction is not None:
            from splitopt.report.paying import to_csv

            write_atomic(self.csv, to_csv(found))
        if self.output is not None:
            found.save(self.output)
        if self.report is not None:
            from splitopt.report.page import plan_to_html

            write_atomic(self.report, plan_to_html(found, f"{date.today()}"))


@dataclass(frozen=True)
class QuestionFlags:
    """What is asked of a scenario."""

    problem: Annotated[
        str | None,
        typer.Option(
            "--problem",
            metavar="NAME",
            help="The question to ask; by default the one that the scenario's sections belong to.",
        ),
    ] = None
    objective: Annotated[
        str | None,
        typer.Option(
            "--objective",
            metavar="NAME",
            help="Of cut_and_resources: sum (default), makespan, energy, latency_energy; of "
            "pipeline_partition: round (default), period, epoch, paper.",
        ),
    ] = None
    scheme: Annotated[
        str | None,
        typer.Option(
            "--scheme",
            metavar="NAME",
            help="The one cut of all devices that makes a round of this scheme shortest: "
            "splitfed_v1, splitfed_v2, vanilla or federated; of u_shaped, with labels and both "
            "ends of the model on devices, the first and the last cut.",
        ),
    ] = None
    server_order: Annotated[
        str | None,
        typer.Option(
            "--server-order",
            metavar="HOW",
            help="How splitfed_v2 serves: client after client, or batch: a batch of each in turn.",
        ),
    ] = None
    by_group: Annotated[
        bool | None,
        typer.Option(
            "--by-group/--by-device",
            help="Whether a plan of cut_and_resources is about groups of alike devices, or about "
            "every single one; by default by group of more than 10,000 devices.",
            show_default=False,
        ),
    ] = None
    pareto: Annotated[
        bool,
        typer.Option(
            "--pareto",
            help="Of the compute nodes, every mix that no other beats in both delay and cost.",
        ),
    ] = False
    boundaries: Annotated[
        str | None,
        typer.Option(
            "--boundaries",
            metavar="KIND",
            help="Where a pipeline may cut a model that was measured as a graph: prefixes (behind "
            "every operator, default) or cuts (where one tensor crosses); graph for accelerators.",
        ),
    ] = None


@with_flags
def command(
    scenario: shared.ScenarioFile,
    outputs: OutputFlags,
    question: QuestionFlags,
    search: SolverFlags,
    place: PlacementFlags,
    every_device: shared.EveryDevice = False,
    as_json: shared.AsJson = False,
) -> int:
    """Plan a scenario: who cuts where and gets what, how long a round takes, and why.

    Example: splitopt plan fleet.yaml -o plan.json --report plan.html
    """
    from splitopt.planning.planner import plan
    from splitopt.scenario import Scenario

    shared.check_outputs(scenario, outputs.output, outputs.report, outputs.csv)
    given = Scenario.load(scenario)
    outputs.check(given, question)
    problem, objective = question.problem, question.objective
    if question.boundaries is not None:
        given = given.with_boundaries(question.boundaries)
    if question.pareto:
        if question.scheme is not None:
            raise InputError("--pareto and --scheme exclude each other: a mix of nodes has no cut")
        from splitopt.cli.pareto import show

        files = (outputs.output, outputs.report)
        return show(given, problem, objective, search.solver, search.option, *files, as_json)
    arguments = search.arguments(place)
    with shared.progress(silent=as_json) as callback:
        found = plan(
            given,
            problem=problem,
            objective=objective,
            scheme=question.scheme,
            server_order=question.server_order,
            callback=callback,
            by_group=question.by_group,
            **arguments,
        )
    outputs.write(found)
    if as_json:
        shared.print_json(found.to_dict())
    else:
        from splitopt.report.terminal import plan_to_terminal

        shared.console().print(plan_to_terminal(found, every_device=every_device))
    return 0 if found.is_feasible else 1
