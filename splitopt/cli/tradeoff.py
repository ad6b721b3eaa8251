"""``splitopt tradeoff``: time against leakage or slow devices, and accuracy against epsilon."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import expect_defaults, with_flags
from splitopt.cli.privacy_options import PrivacyFlags
from splitopt.cli.training_options import OptimizerFlags, OwnProcessFlags
from splitopt.errors import InputError, shown

if TYPE_CHECKING:
    from splitopt.planning.robust_curve import RobustCurve
    from splitopt.planning.staircase import Staircase
    from splitopt.privacy.tradeoff import Tradeoff


@dataclass(frozen=True)
class StaircaseFlags:
    """How each step of the staircase is found."""

    objective: Annotated[
        str,
        typer.Option("--objective", metavar="NAME", help="makespan, sum, energy, latency_energy."),
    ] = "makespan"
    solver: shared.SolverName = "auto"
    option: shared.SolverOptions = None
    time_limit: Annotated[
        float,
        typer.Option("--time-limit", metavar="S", min=0.0, help="Seconds for each step."),
    ] = shared.DEFAULT_TIME_LIMIT_S
    gap: shared.RelGap = 1e-9

    def arguments(self) -> dict[str, Any]:
        """Return solver, limits and options as `splitopt.plan` takes them."""
        fixed = {"solver": self.solver, "time_limit_s": self.time_limit, "rel_gap": self.gap}
        return shared.solver_arguments(fixed, self.option)

    def find(self, scenario: Path, seed: int, silent: bool) -> Staircase:
        """Find all steps."""
        from splitopt.planning.staircase import leakage_staircase
        from splitopt.scenario import Scenario

        arguments = self.arguments()
        with shared.telling("finding steps ...", silent) as tell:

            def progress(count: int, limit: float) -> None:
                if tell is not None:
                    tell(f"{count} steps, down to a limit of {limit:.4g}")

            return leakage_staircase(
                Scenario.load(scenario),
                objective=self.objective,
                seed=seed,
                progress=progress,
                **arguments,
            )


@dataclass(frozen=True)
class RobustFlags:
    """Which numbers of slow devices are planned for."""

    robust: Annotated[
        str | None,
        typer.Option(
            "--robust",
            metavar="X,...",
            help="Plan against each of these numbers of slow devices, such as 0,1,2,4.",
        ),
    ] = None

    def find(self, scenario: Path, steps: StaircaseFlags, seed: int, silent: bool) -> RobustCurve:
        """Find all plans."""
        from splitopt.planning.robust_curve import robust_curve
        from splitopt.scenario import Scenario

        assert self.robust is not None
        numbers = [_number(text.strip()) for text in self.robust.split(",")]
        with shared.telling("planning ...", silent) as tell:

            def progress(count: int, slow: float) -> None:
                if tell is not None:
                    tell(f"{count} of {len(numbers)} plans, up to {slow:g} slow devices")

            try:
                return robust_curve(
                    Scenario.load(scenario),
                    numbers,
                    objective=steps.objective,
                    seed=seed,
                    progress=progress,
                    **steps.arguments(),
                )
            except InputError as error:
                if str(error).startswith("slow: "):
                    raise InputError.at("--robust", str(error)[len("slow: ") :]) from None
                raise


@dataclass(frozen=True)
class AccuracyFlags:
    """Which real runs are made of each step."""

    epsilon: Annotated[
        str | None,
        typer.Option(
            "--epsilon",
            metavar="X,...",
            help="Train every step's plan with each of these; none: without noise.",
        ),
    ] = None
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=1, help="Runs of each, from --seed on.")
    ] = 3
    rounds: Annotated[
        int | None,
        typer.Option("--rounds", metavar="N", help="Of every run; those of the plan by default."),
    ] = None

    def epsilons(self) -> list[float | None]:
        """Return the epsilons, None for a run without noise."""
        assert self.epsilon is not None
        return [_epsilon(text.strip()) for text in self.epsilon.split(",")]


@with_flags
def command(
    scenario: shared.ScenarioFile,
    steps: StaircaseFlags,
    robust: RobustFlags,
    runs: AccuracyFlags,
    job: OwnProcessFlags,
    optimizer: OptimizerFlags,
    privacy: PrivacyFlags,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.json", help="Write steps, plans and runs."),
    ] = None,
    report: shared.PageFile = None,
    as_json: shared.AsJson = False,
) -> int:
    """Show what privacy costs: round time for every limit on leakage, accuracy for epsilons.

    The first is exact: each step is an optimum. With --epsilon every step is trained as well.
    With --robust it shows instead what protection against slow devices costs: the best plan for
    each number of slow devices, slow as the scenario's section 'robust' says.

    Example: splitopt tradeoff dp-mora-resnet18 -o tradeoff.json --report tradeoff.html
    """
    from splitopt.privacy.tradeoff import Tradeoff
    from splitopt.report.tradeoff import tradeoff_to_html, tradeoff_to_terminal

    shared.check_outputs(scenario, output, report)
    if robust.robust is not None:
        for flags in (replace(job, seed=0), optimizer, privacy, runs):
            expect_defaults(flags, "is about training, and --robust trains nothing; leave it out")
        curve = robust.find(scenario, steps, job.seed, as_json)
        return _show_curve(curve, output, report, as_json)
    epsilons, noise = _asked(runs, job, optimizer, privacy)
    staircase = steps.find(scenario, job.seed, as_json)
    found = Tradeoff(staircase)
    if epsilons and staircase.stairs:
        found = _trained(staircase, (runs, job, optimizer), (epsilons, noise), silent=as_json)
    if output is not None:
        found.save(output)
    if report is not None:
        from splitopt.storage.writing import write_atomic

        write_atomic(report, tradeoff_to_html(found))
    if as_json:
        shared.print_json(found.to_dict())
    else:
        shared.console().print(tradeoff_to_terminal(found))
    return 0 if staircase.stairs else 1


def _show_curve(found: RobustCurve, output: Path | None, report: Path | None, as_json: bool) -> int:
    """Write and print what protection costs."""
    from splitopt.report.robust_curve import robust_curve_to_html, robust_curve_to_terminal
    from splitopt.storage.writing import write_atomic

    if output is not None:
        found.save(output)
    if report is not None:
        write_atomic(report, robust_curve_to_html(found))
    if as_json:
        shared.print_json(found.to_dict())
    else:
        shared.console().print(robust_curve_to_terminal(found))
    return 0 if found.points and found.message is None else 1


def _asked(
    runs: AccuracyFlags, job: OwnProcessFlags, optimizer: OptimizerFlags, privacy: PrivacyFlags
) -> tuple[list[float | None], Any]:
    """Read what is to be trained; raise `InputError` for flags of a training that there is not."""
    if runs.epsilon is None:
        why = "is about training, which needs --epsilon: epsilons, or none for runs without noise"
        for flags in (replace(job, seed=0), optimizer, privacy, runs):
            expect_defaults(flags, why)
        return [], None
    for flag in ("dp_epsilon", "dp_noise"):
        if getattr(privacy, flag) is not None:
            name = flag.replace("_", "-")
            raise InputError.at(f"--{name}", "is what --epsilon lists here; leave it out")
    epsilons = runs.epsilons()
    if all(value is None for value in epsilons):
        expect_defaults(privacy, "is about noise, and --epsilon asks for none")
        return epsilons, None
    if privacy.dp_clip is None:
        raise InputError.at("--dp-clip", "is missing: the largest norm of a sample's gradient")
    return epsilons, replace(privacy, dp_epsilon=1.0).privacy()


def _trained(
    staircase: Staircase,
    flags: tuple[AccuracyFlags, OwnProcessFlags, OptimizerFlags],
    asked: tuple[list[float | None], Any],
    silent: bool,
) -> Tradeoff:
    """Train every step."""
    from splitopt.extras import need_torch
    from splitopt.privacy.tradeoff import train_stairs
    from splitopt.training.schedule import Schedule

    need_torch("training")
    runs, job, optimizer = flags
    rounds = runs.rounds or staircase.stairs[0].plan.scenario.get("training", {}).get("rounds")
    of_first = job.job(staircase.stairs[0].plan, Path("plan"), optimizer.options())
    schedule = Schedule(rounds=runs.rounds, evaluate_every=rounds or 1)
    with shared.telling("training ...", silent) as tell:

        def progress(done: int, whole: int, what: str) -> None:
            if tell is not None:
                tell(f"run {done + 1} of {whole}: {what}")

        return train_stairs(staircase, of_first, *asked, schedule, runs.seeds, progress)


def _epsilon(text: str) -> float | None:
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise InputError.at(
            "--epsilon", f"has {shown(text)}; write numbers and none, such as 0.5,2,8,none"
        ) from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError.at(
            "--robust", f"has {shown(text)}; write numbers of slow devices, such as 0,1,2,4"
        ) from None
