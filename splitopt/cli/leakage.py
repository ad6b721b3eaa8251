"""``splitopt leakage``: what a server can recover of the data at each cut, measured by attacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import expect_defaults, with_flags
from splitopt.errors import InputError
from splitopt.privacy.leakage.settings import ATTACKS, VIEWS, LeakageSettings

if TYPE_CHECKING:
    from splitopt.privacy.leakage.measured import Measured
    from splitopt.privacy.leakage.table import Bound, LeakageTable
    from splitopt.profiles import ModelProfile


@dataclass(frozen=True)
class AttackFlags:
    """Which attacks, on what, for how long; as the fields of `LeakageSettings`."""

    attacks: Annotated[
        str, typer.Option("--attacks", metavar="NAME,...", help=f"Of {', '.join(ATTACKS)}.")
    ] = ",".join(ATTACKS)
    views: Annotated[
        str,
        typer.Option(
            "--views",
            metavar="NAME,...",
            help="white: the attacker has the client part; black: it has not.",
        ),
    ] = ",".join(VIEWS)
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", help="Samples to be reconstructed.")
    ] = 8
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", help="Samples in a gradient that is matched.")
    ] = 1
    steps: Annotated[int, typer.Option("--steps", metavar="N", help="Steps of a search.")] = 150
    restarts: Annotated[
        int, typer.Option("--restarts", metavar="N", help="Searches, of which the best counts.")
    ] = 1
    inferences: Annotated[
        int, typer.Option("--inferences", metavar="N", help="Samples that inferences look at.")
    ] = 256
    epochs: Annotated[
        int, typer.Option("--epochs", metavar="N", help="Train the model so long before.")
    ] = 0
    seed: shared.Seed = 0

    def settings(self) -> LeakageSettings:
        """Return the settings; raise `InputError` for a value that is none."""
        named = {
            "attacks": tuple(name.strip() for name in self.attacks.split(",") if name.strip()),
            "views": tuple(name.strip() for name in self.views.split(",") if name.strip()),
        }
        return LeakageSettings(**{**vars(self), **named})


@dataclass(frozen=True)
class ColumnFlags:
    """What becomes the column of a profile, and where that is written."""

    into: Annotated[
        Path | None,
        typer.Option(
            "--into",
            metavar="PROFILE.json",
            help="Put the leakage into this profile; a new one where there is none.",
        ),
    ] = None
    view: Annotated[
        str | None, typer.Option("--view", metavar="NAME", help="white or black, for --into.")
    ] = None
    measure: Annotated[
        str,
        typer.Option("--measure", metavar="NAME", help="cosine, centred_cosine or ssim."),
    ] = "cosine"
    upper: Annotated[
        bool, typer.Option("--upper", help="Take the upper end of the 95 % interval of the mean.")
    ] = False

    def profile(self) -> ModelProfile | None:
        """Read the profile that is there to be added to."""
        from splitopt.profiles import ModelProfile

        if self.into is None:
            expect_defaults(self, "says what goes into a profile, and needs --into PROFILE.json")
            return None
        if not self.into.exists():
            return None
        return ModelProfile.load(self.into)

    def put(self, table: LeakageTable, there: ModelProfile | None, own: Measured | None) -> None:
        """Write the column into the profile that is there, or into the model's own."""
        if self.into is None:
            return
        if there is None and own is None:
            raise InputError(f"{self.into}: there is no such profile to put the leakage into")
        profile = there if own is None or there is not None else own.profile
        assert profile is not None
        view = self.view or table.settings["views"][0]
        bound: Bound = "high" if self.upper else "mean"
        table.onto(profile, view, self.measure, bound).save(self.into)


@dataclass(frozen=True)
class ModelFlags:
    """What is attacked beside the model itself, and where results are kept."""

    data: Annotated[
        str, typer.Option("--data", metavar="DATA", help="A name or a file, as for train.")
    ] = "digits"
    cuts: Annotated[
        str | None, typer.Option("--cuts", metavar="CUT,...", help="Numbers or layers; else all.")
    ] = None
    task: Annotated[
        str, typer.Option("--task", metavar="NAME", help="What the model is trained for.")
    ] = "classification"
    stages: Annotated[
        str | None, typer.Option("--stages", metavar="A,B,...", help="As for profile.")
    ] = None
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="DIR", help="Keep results there, and go on from there."),
    ] = None

    def measure(
        self, target: str, settings: LeakageSettings, into: ModelProfile | None, silent: bool
    ) -> Measured:
        """Carry the attacks out."""
        from splitopt.extras import need_torch

        need_torch("'splitopt leakage'")
        from splitopt.privacy.leakage.measured import measured

        cuts = None if self.cuts is None else [_cut(text) for text in self.cuts.split(",")]
        stages = shared.stage_names(self.stages)
        with _progress(silent) as progress:
            return measured(
                target, self.data, cuts, settings, self.task, stages, self.cache,
                progress, named=target, into=into,
            )  # fmt: skip


@with_flags
def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A shipped model, MODULE:FACTORY or FILE.py:FACTORY; or a TABLE.json that is "
            "there, to show it or put it into a profile.",
        ),
    ],
    attack: AttackFlags,
    model: ModelFlags,
    column: ColumnFlags,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="TABLE.json", help="Write the table.")
    ] = None,
    report: shared.PageFile = None,
    as_json: shared.AsJson = False,
) -> int:
    """Measure what a server can recover of the data at each cut of a model.

    Example: splitopt leakage cnn --data digits --epochs 5 -o cnn-leakage.json --into cnn.json
    """
    from splitopt.report.leakage import leakage_to_html, leakage_to_terminal

    settings = attack.settings()
    shared.check_outputs(Path(target), output, report, column.into)
    there = column.profile()
    own: Measured | None = None
    if target.endswith(".json"):
        from splitopt.privacy.leakage.table import LeakageTable

        for flags in (attack, model):
            expect_defaults(flags, "is for attacks, and a table that is there needs none")
        table = LeakageTable.load(target)
    else:
        own = model.measure(target, settings, there, as_json)
        table = own.table
    if output is not None:  # before what may be refused, since it took a while
        table.save(output)
    column.put(table, there, own)
    if report is not None:
        from splitopt.storage.writing import write_atomic

        write_atomic(report, leakage_to_html(table, own))
    if as_json:
        shared.print_json(table.to_dict())
    else:
        shared.console().print(leakage_to_terminal(table))
    return 0


def _cut(text: str) -> int | str:
    return int(text) if text.strip().isdecimal() and len(text) < 10 else text.strip()


@contextmanager
def _progress(silent: bool) -> Iterator[Callable[[int, int, str], object] | None]:
    """Report which attack is done, on a terminal only."""
    console = shared.live_console(silent)
    if console is None:
        yield None
        return
    with console.status("Attacks") as status:
        yield lambda done, whole, what: status.update(f"Attack {done} of {whole}: {what}")
