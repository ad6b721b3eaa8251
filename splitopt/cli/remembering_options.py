"""The flags of what is done against forgetting: the fields of `Remembering`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from splitopt.errors import InputError
from splitopt.training.remembering_options import Remembering

_OF_EWC = ("ewc_form", "ewc_decay", "ewc_samples")


@dataclass(frozen=True)
class RememberingFlags:
    """Baselines against forgetting; without any of them there are none."""

    ewc: Annotated[
        float | None,
        typer.Option(
            "--ewc",
            metavar="LAMBDA",
            help="Elastic weight consolidation: hold weights that earlier turns needed (vanilla).",
        ),
    ] = Remembering.ewc
    ewc_form: Annotated[
        str,
        typer.Option(
            "--ewc-form",
            metavar="HOW",
            help="accumulated: each turn's penalty around its own weights; online: the last.",
        ),
    ] = Remembering.ewc_form
    ewc_decay: Annotated[
        float,
        typer.Option(
            "--ewc-decay", metavar="X", help="Times it the penalties of earlier turns, each turn."
        ),
    ] = Remembering.ewc_decay
    ewc_samples: Annotated[
        int,
        typer.Option(
            "--ewc-samples", metavar="N", help="Of how many samples a turn's Fisher diagonal is."
        ),
    ] = Remembering.ewc_samples
    replay: Annotated[
        int | None,
        typer.Option(
            "--replay",
            metavar="M",
            help="The server keeps M smashed samples of each class, and learns from them as well "
            "(vanilla).",
        ),
    ] = Remembering.replay
    oversample: Annotated[
        bool,
        typer.Option("--oversample", help="Devices draw their classes equally often."),
    ] = Remembering.oversample
    turn_batches: Annotated[
        int | None,
        typer.Option(
            "--turn-batches",
            metavar="N",
            help="Mini-batches of a turn, so that a round has several turns of each device "
            "(vanilla).",
        ),
    ] = Remembering.turn_batches

    def remembering(self) -> Remembering | None:
        """Return what is done, None for nothing; a value that is none is an `InputError`."""
        given = vars(self)
        for name in _OF_EWC:
            if self.ewc is None and given[name] != getattr(Remembering, name):
                flag = f"--{name.replace('_', '-')}"
                raise InputError.at(flag, "needs --ewc, the strength of the penalty")
        if given == vars(RememberingFlags()):
            return None
        return Remembering(**given)
