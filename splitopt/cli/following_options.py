"""The flags of trainings whose plan follows, or whose rounds are not as planned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from splitopt.training.schedule import Schedule


@dataclass(frozen=True)
class FollowingFlags:
    """What plans follow, and what rounds really are: fields of a `Schedule`."""

    replan: Annotated[
        str | None,
        typer.Option(
            "--replan",
            metavar="TRACE.csv|measured",
            help="Plan every round anew by the rates of the one before: given, or as measured.",
        ),
    ] = None
    actual_rates: Annotated[
        Path | None,
        typer.Option(
            "--actual-rates",
            metavar="TRACE.csv",
            help="What every round really is, which no plan knows; see --replan measured.",
        ),
    ] = None
    time_noise: Annotated[
        float,
        typer.Option(
            "--time-noise",
            metavar="X",
            help="Stretch tasks on the virtual clock by random factors of this deviation.",
        ),
    ] = Schedule.time_noise
    smoothing: Annotated[
        float,
        typer.Option(
            "--smoothing",
            metavar="X",
            help="Weight of the last round in rates that are measured; 1 believes it alone.",
        ),
    ] = Schedule.smoothing
