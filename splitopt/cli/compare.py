"""``splitopt compare``: every scheme on one fleet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import with_flags
from splitopt.errors import InputError
from splitopt.storage.writing import write_atomic, write_json

if TYPE_CHECKING:
    from splitopt.planning.comparison.grid import Grid
    from splitopt.planning.comparison.rows import Comparison
    from splitopt.planning.comparison.sweeping import Sweep
    from splitopt.scenario import Scenario


@dataclass(frozen=True)
class OutputFlags:
    """The files to write, None for those that are not wanted."""

    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.json", help="Write all numbers."),
    ] = None
    report: shared.PageFile = None

    def write(
        self, document: dict[str, Any], found: Comparison, swept: Sweep | Grid | None
    ) -> None:
        """Write all numbers, and the page."""
        if self.output is not None:
            write_json(self.output, document, indent=1)
        if self.report is not None:
            from splitopt.report.comparison import comparison_to_html

            write_atomic(self.report, comparison_to_html(found, swept))


@dataclass(frozen=True)
class QuestionFlags:
    """What is compared, and how it is ranked."""

    rounds: Annotated[
        Path | None,
        typer.Option(
            "--rounds-to-accuracy",
            metavar="FILE",
            help="YAML or JSON, scheme: rounds; ranks by the time to the accuracy.",
        ),
    ] = None
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep",
            metavar="FIELD=V1,V2,...",
            help="Compare for each value of a field, such as links.uplink or devices.*.count; "
            "given twice, for each pair of values of two fields.",
        ),
    ] = None
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines",
            help="Compare the sequential baselines of the papers too: DP-MORA's SF1 and SF2, "
            "MP-SL's SplitNN.",
        ),
    ] = False

    def fields(self) -> list[tuple[str, list[Any]]]:
        """Return the fields to vary and their values: none, one or two."""
        from splitopt.planning.comparison.sweeping import read_sweep

        found = [read_sweep(text) for text in self.sweep or []]
        if len(found) > 2:
            raise InputError(
                f"--sweep is given {len(found)} times; two fields at once are the most"
            )
        return found


@with_flags
def command(
    scenario: shared.ScenarioFile,
    outputs: OutputFlags,
    question: QuestionFlags,
    time_limit: shared.TimeLimit = shared.DEFAULT_TIME_LIMIT_S,
    seed: shared.Seed = 0,
    as_json: shared.AsJson = False,
) -> int:
    """Set all schemes side by side: round time, traffic, work, memory, leakage, energy, cost.

    Example: splitopt compare fleet.yaml --sweep "links.uplink=10 Mbit/s,100 Mbit/s"
    """
    from splitopt.planning.comparison.comparing import compare_schemes, load_rounds
    from splitopt.scenario import Scenario

    shared.check_outputs(scenario, outputs.output, outputs.report)
    given = Scenario.load(scenario)
    wanted = None if question.rounds is None else load_rounds(question.rounds)
    fields = question.fields()
    limits: dict[str, Any] = {"rounds": wanted, "baselines": question.baselines}
    limits |= {"time_limit_s": time_limit, "seed": seed}
    with shared.waiting("comparing schemes", silent=as_json):
        found = compare_schemes(given, **limits)
    points = math.prod(len(values) for _, values in fields)
    with shared.waiting(f"comparing schemes at {points} points", silent=as_json or not fields):
        swept = _swept(given, fields, limits)
    document = {"format": "splitopt-comparison", "version": 1, **found.to_dict()}
    if swept is not None:
        document["sweep"] = swept.to_dict()
    outputs.write(document, found, swept)
    if as_json:
        shared.print_json(document)
    else:
        from splitopt.report.comparison import comparison_to_terminal

        shared.console().print(comparison_to_terminal(found, swept))
    return 0 if found.feasible else 1


def _swept(
    given: Scenario, fields: list[tuple[str, list[Any]]], limits: dict[str, Any]
) -> Sweep | Grid | None:
    """Compare for each value of one field, for each pair of values of two, or not at all."""
    from splitopt.planning.comparison.grid import sweep_grid
    from splitopt.planning.comparison.sweeping import sweep_field

    if not fields:
        return None
    if len(fields) == 1:
        return sweep_field(given, *fields[0], **limits)
    return sweep_grid(given, *fields, **limits)
