"""``splitopt iotsl``: generators, pre-training, imputation, split training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import expect_defaults, with_flags
from splitopt.cli.generator_options import SanitizeFlags
from splitopt.cli.training_options import OptimizerFlags
from splitopt.errors import InputError
from splitopt.generators.options import GeneratorOptions, Sanitizing
from splitopt.training.job import TrainingJob
from splitopt.training.schedule import Schedule
from splitopt.training.wire.setting import WireOptions

if TYPE_CHECKING:
    from splitopt.iotsl import IotslJob
    from splitopt.iotsl.result import IotslRun
    from splitopt.iotsl.steps import Progress


@dataclass(frozen=True)
class FleetFlags:
    """What is trained, and who has which samples."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|MODULE:FACTORY",
            help="A shipped network or your own; by default the one the profile is named after.",
        ),
    ] = None
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|PATH",
            help="digits, mnist, fashion-mnist, cifar10, celeba, NAME:FOLDER or an .npz file of "
            "images; by default that of the scenario, or digits.",
        ),
    ] = None
    partition: Annotated[
        str | None,
        typer.Option(
            "--partition",
            metavar="HOW",
            help="As for train; by default that of the scenario, or as 'generators' says.",
        ),
    ] = None
    samples: Annotated[
        str,
        typer.Option(
            "--samples",
            metavar="plan|data",
            help="With --partition: as many as planned, or all data in these proportions.",
        ),
    ] = TrainingJob.samples
    scheme: Annotated[
        str,
        typer.Option(
            "--scheme",
            metavar="NAME",
            help="Of the split training: vanilla (one device after the other), splitfed_v1, "
            "splitfed_v2 or federated.",
        ),
    ] = "vanilla"
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="cpu, cuda, cuda:N or auto.")
    ] = TrainingJob.device
    seed: shared.Seed = TrainingJob.seed


@dataclass(frozen=True)
class GeneratorFlags:
    """The generators, and what is done with them."""

    network: Annotated[
        str,
        typer.Option(
            "--network",
            metavar="NAME",
            help="Of generators; small: images of 8 to 32 pixels; iotsl: the paper's, 28 x 28.",
        ),
    ] = GeneratorOptions.network
    generator_steps: Annotated[
        int, typer.Option("--generator-steps", metavar="N", help="Steps of each generator.")
    ] = GeneratorOptions.steps
    critic_steps: Annotated[
        int, typer.Option("--critic-steps", metavar="N", help="Steps of a critic before each.")
    ] = GeneratorOptions.critic_steps
    generator_batch: Annotated[
        int, typer.Option("--generator-batch", metavar="N", help="Samples of each of these steps.")
    ] = GeneratorOptions.batch
    generator_lr: Annotated[
        float, typer.Option("--generator-lr", metavar="X", help="Learning rate of both, by Adam.")
    ] = GeneratorOptions.lr
    critics: Annotated[
        int,
        typer.Option(
            "--critics", metavar="D", help="Divide a device's samples among so many critics."
        ),
    ] = GeneratorOptions.critics
    histogram_epsilon: Annotated[
        float | None,
        typer.Option(
            "--histogram-epsilon",
            metavar="X",
            help="Noise on the counts of labels that devices tell; none by default.",
        ),
    ] = None
    pretrain_epochs: Annotated[
        int,
        typer.Option(
            "--pretrain-epochs", metavar="N", help="At the server, on generated samples; 0: none."
        ),
    ] = 10
    no_imputation: Annotated[
        bool,
        typer.Option("--no-imputation", help="Give devices no samples of classes that they lack."),
    ] = False

    def options(self, sanitize: Sanitizing | None) -> GeneratorOptions:
        """Return how generators are trained; a value that is none is an `InputError`."""
        return GeneratorOptions(
            network=self.network,
            steps=self.generator_steps,
            critic_steps=self.critic_steps,
            batch=self.generator_batch,
            lr=self.generator_lr,
            critics=self.critics,
            sanitize=sanitize,
        )


@dataclass(frozen=True)
class LengthFlags:
    """How long the split training lasts."""

    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds", metavar="N", help="Of the split training; those of the scenario by default."
        ),
    ] = Schedule.rounds
    evaluate_every: Annotated[
        int, typer.Option("--evaluate-every", metavar="K", help="Test after every so many rounds.")
    ] = Schedule.evaluate_every
    target_accuracy: Annotated[
        float | None,
        typer.Option("--target-accuracy", metavar="X", help="Stop when a test reaches it, 0 to 1."),
    ] = Schedule.target_accuracy

    def schedule(self) -> Schedule:
        """Return the schedule; a value that is none is an `InputError`."""
        return Schedule(**vars(self))


@dataclass(frozen=True)
class ProcessFlags:
    """The pace of processes, with --wire."""

    time_scale: Annotated[
        float | None,
        typer.Option(
            "--time-scale",
            metavar="X",
            help="Seconds for each planned one; by default generators go as fast as they can, and "
            "a round takes a few seconds.",
        ),
    ] = WireOptions.time_scale
    any_speed: Annotated[
        bool, typer.Option("--any-speed", help="Train even if this host is slower than the plan.")
    ] = WireOptions.any_speed
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline", metavar="3x|10 s", help="Of a device in the split training, as for train."
        ),
    ] = None

    def options(self) -> WireOptions:
        """Return how the processes are to be run; a value that is none is an `InputError`."""
        found = WireOptions(self.time_scale, self.any_speed, self.deadline)
        _ = found.limit  # one that is none is refused before anything else
        return found


@with_flags
def command(
    scenario: Annotated[
        Path,
        typer.Argument(
            metavar="SCENARIO.yaml", help="A scenario with generators, or the name of one."
        ),
    ],
    folder: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="DIR", help="The folder of the run: generators, plans, model."
        ),
    ],
    fleet: FleetFlags,
    generators: GeneratorFlags,
    sanitize: SanitizeFlags,
    optimizer: OptimizerFlags,
    length: LengthFlags,
    processes: ProcessFlags,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Train the same fleet without generators as well."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder.")
    ] = False,
    wire: Annotated[
        bool, typer.Option("--wire", help="A process for each device, with real bytes.")
    ] = False,
    report: shared.PageFile = None,
    as_json: shared.AsJson = False,
) -> int:
    """Run IoTSL: generators, pre-training, imputation and split training of a fleet.

    Every step is kept in the folder: after an interruption --resume goes on from there.

    Example: splitopt iotsl digits-iotsl -o run --generator-steps 400 --lr 0.05 --plain
    """
    from splitopt.extras import need_torch

    shared.check_outputs(scenario, report)
    if not wire:
        expect_defaults(processes, "needs --wire; add it")
    length.schedule()
    need_torch("'splitopt iotsl'")
    job = _job(scenario, fleet, generators, sanitize, optimizer)
    from splitopt.iotsl import run_iotsl

    with _progress(as_json) as tell:
        run = run_iotsl(
            job,
            folder,
            length.schedule(),
            resume=resume,
            plain=plain,
            wire=processes.options() if wire else None,
            progress=tell,
        )
    if report is not None:
        _write_page(run, report)
    _print(run, as_json)
    return 0


def _print(run: IotslRun, as_json: bool) -> None:
    if as_json:
        shared.print_json(run.to_dict())
        return
    from splitopt.report.iotsl import iotsl_to_terminal

    shared.console().print(iotsl_to_terminal(run))


def _job(
    scenario: Path,
    fleet: FleetFlags,
    generators: GeneratorFlags,
    sanitize: SanitizeFlags,
    optimizer: OptimizerFlags,
) -> IotslJob:
    from splitopt.iotsl import IotslJob
    from splitopt.scenario import Scenario

    read = Scenario.load(scenario)
    stated = None if read.data is None else read.data.partition
    if fleet.partition is None and stated is None and fleet.samples != TrainingJob.samples:
        raise InputError.at(
            "--samples",
            "needs --partition, by which data is shared out; without it 'generators' "
            "says who has what",
        )
    given: dict[str, Any] = vars(fleet)
    return IotslJob(
        read,
        generators=generators.options(sanitize.sanitizing()),
        histogram_epsilon=generators.histogram_epsilon,
        pretrain_epochs=generators.pretrain_epochs,
        impute=not generators.no_imputation,
        options=optimizer.options(),
        source=str(scenario),
        **given,
    )


def _write_page(run: IotslRun, path: Path) -> None:
    from splitopt.generators import load_generator
    from splitopt.generators.grid import png_of
    from splitopt.report.iotsl import iotsl_to_html
    from splitopt.storage.writing import write_atomic

    files = {row.name: run.folder / "generators" / f"{row.name}.safetensors" for row in run.devices}
    grids = {name: png_of(load_generator(file)) for name, file in files.items() if file.exists()}
    write_atomic(path, iotsl_to_html(run, grids))


@contextmanager
def _progress(silent: bool) -> Iterator[Progress | None]:
    """Show which step is at work on what, on a terminal only."""
    with shared.telling("sharing out the data", silent) as tell:
        if tell is None:
            yield None
            return
        yield lambda step, what, done, of: tell(f"{step}: {what}, {done} of {of}")
