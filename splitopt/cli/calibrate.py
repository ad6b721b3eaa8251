"""``splitopt calibrate``: measure how many rounds a training takes to a target."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import with_flags
from splitopt.cli.training_options import OptimizerFlags, OwnProcessFlags
from splitopt.errors import InputError, shown

if TYPE_CHECKING:
    from splitopt.plans import Plan
    from splitopt.scenario import Scenario
    from splitopt.training.calibration.corners import Wanted
    from splitopt.training.job import TrainingJob


@dataclass(frozen=True)
class CornerFlags:
    """Where runs are made, and where they end."""

    metric: Annotated[
        str,
        typer.Option("--metric", metavar="NAME", help="test_loss, or a metric of the task."),
    ] = "test_loss"
    target: Annotated[
        float | None, typer.Option("--target", metavar="X", help="Where a training ends.")
    ] = None
    loose_target: Annotated[
        float | None,
        typer.Option(
            "--loose-target", metavar="X", help="Where three of four runs end; else the target."
        ),
    ] = None
    batch_size: Annotated[
        str, typer.Option("--batch-size", metavar="LOW,HIGH", help="The smallest and the largest.")
    ] = "4,32"
    intervals: Annotated[
        str,
        typer.Option("--interval", metavar="1,HIGH", help="Steps between two aggregations."),
    ] = "1,20"
    cuts: Annotated[
        str | None,
        typer.Option(
            "--cuts", metavar="LOW,HIGH", help="Else the first and last that all devices can take."
        ),
    ] = None
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds", metavar="A,B,...", help="Two or more give ranges; else that of --seed."
        ),
    ] = None
    most_rounds: Annotated[
        int, typer.Option("--most-rounds", metavar="N", help="Of a run; then it is censored.")
    ] = 2000
    evaluate_every: Annotated[
        int, typer.Option("--evaluate-every", metavar="K", help="Rounds between two tests.")
    ] = 5
    bound: Annotated[
        bool,
        typer.Option(
            "--bound", help="Measure the constants of the convergence bound of HASFL, too."
        ),
    ] = False

    def wanted(self, seed: int) -> Wanted:
        """Return what is calibrated, with `seed` where ``--seeds`` is not given.

        Raise `InputError` for a flag that cannot be read.
        """
        from splitopt.training.calibration.corners import Wanted

        if self.target is None:
            raise InputError.at(
                "--target", "is missing: the value of the metric at which a training ends"
            )
        return Wanted(
            metric=self.metric,
            target=self.target,
            loose_target=self.loose_target,
            batch_size=_pair("--batch-size", self.batch_size),
            aggregation_interval=_pair("--interval", self.intervals),
            cuts=None if self.cuts is None else _pair("--cuts", self.cuts),
            seeds=(seed,) if self.seeds is None else _whole("--seeds", self.seeds),
            most_rounds=self.most_rounds,
            evaluate_every=self.evaluate_every,
            bound=self.bound,
        )


@with_flags
def command(
    scenario: Annotated[
        Path, typer.Argument(metavar="SCENARIO.yaml|PLAN.json", help="A scenario, or a plan of it.")
    ],
    job: OwnProcessFlags,
    optimizer: OptimizerFlags,
    corners: CornerFlags,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="CURVE.json", help="Write the curve of rounds."),
    ] = None,
    as_json: shared.AsJson = False,
) -> int:
    """Measure how many rounds (steps) a training takes, by batch size, cut and interval.

    Four runs for each seed: at small and large batches, and with rare aggregations. The curve file
    is what the section time_to_accuracy of a scenario is planned with. --seed is for the weights of
    all runs, where --seeds is not given.

    Example: splitopt calibrate fleet.yaml --target 0.3 --loose-target 0.6 --lr 0.1 -o curve.json
    """
    from splitopt.extras import need_torch

    shared.check_outputs(scenario, output)
    need_torch("calibration")
    wanted = corners.wanted(job.seed)
    options = optimizer.options()
    from splitopt.training.calibration.corners import calibrate

    def make(plan: Plan, seed: int) -> TrainingJob:
        return replace(job.job(plan, scenario, options), seed=seed)

    def told(sentence: str) -> None:
        if not as_json:
            typer.echo(sentence, err=True)

    curve = calibrate(_scenario(scenario), wanted, make, told)
    if output is not None:
        curve.save(output)
    if as_json:
        shared.print_json(curve.to_dict())
        return 0
    typer.echo(curve.sentence())
    if curve.ranges is None:
        typer.echo("Ranges: unknown with one seed")
    else:
        for name, span in curve.ranges.items():
            ends = f"{span.low:.4g} to {span.high:.4g}"
            typer.echo(f"{name}: {getattr(curve, name):.4g}, over seeds {ends}")
    typer.echo(f"It took {curve.reference_runs:.3g} runs of the reference to the target")
    for note in curve.notes:
        typer.echo(f"Note: {note}")
    return 0


def _scenario(path: Path) -> Scenario:
    """Read a scenario, or the one in a plan."""
    from splitopt.plans import Plan
    from splitopt.problems.inputs import expect_fleet
    from splitopt.scenario import Scenario

    found = None
    if path.suffix == ".json":
        with suppress(InputError):  # no plan: a scenario, or what its reader then says
            found = Scenario.from_dict(Plan.load(path).scenario, f"{path}: scenario")
    found = Scenario.load(path) if found is None else found
    expect_fleet(found, str(path))
    return found


def _whole(flag: str, text: str) -> tuple[int, ...]:
    """Read whole numbers with commas between them."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError.at(flag, f"is {shown(text)}; write whole numbers as 1,20") from None


def _pair(flag: str, text: str) -> tuple[int, int]:
    found = _whole(flag, text)
    if len(found) != 2:
        raise InputError.at(flag, f"is {shown(text)}; write two whole numbers, low and high: 4,32")
    return found[0], found[1]
