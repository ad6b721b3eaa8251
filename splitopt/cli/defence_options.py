"""The flags of what devices do to smashed data: a noise layer (`PixelDP`), and NoPeek."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from splitopt.cli.flags import expect_defaults
from splitopt.errors import InputError
from splitopt.training.options import Options
from splitopt.training.pixel_dp_options import PixelDP


@dataclass(frozen=True)
class PixelDPFlags:
    """A noise layer in the client part; without --pixel-dp-after there is none."""

    pixel_dp_after: Annotated[
        str | None,
        typer.Option(
            "--pixel-dp-after",
            metavar="LAYER",
            help="Add noise behind this layer of the client part, by a proved sensitivity.",
        ),
    ] = None
    pixel_dp_epsilon: Annotated[
        float | None,
        typer.Option(
            "--pixel-dp-epsilon",
            metavar="X",
            help="Epsilon of changes of an input within --pixel-dp-radius.",
        ),
    ] = None
    pixel_dp_mechanism: Annotated[
        str,
        typer.Option(
            "--pixel-dp-mechanism", metavar="NAME", help="gaussian (L2), or laplace (L1)."
        ),
    ] = PixelDP.mechanism
    pixel_dp_delta: Annotated[
        float, typer.Option("--pixel-dp-delta", metavar="X", help="Delta of the Gaussian noise.")
    ] = PixelDP.delta
    pixel_dp_radius: Annotated[
        float,
        typer.Option(
            "--pixel-dp-radius", metavar="L", help="Norm of the largest change, in units of data."
        ),
    ] = PixelDP.radius
    pixel_dp_calibration: Annotated[
        str,
        typer.Option(
            "--pixel-dp-calibration",
            metavar="HOW",
            help="Of Gaussian noise: classic, for epsilon up to 1, or exact.",
        ),
    ] = PixelDP.calibration
    pixel_dp_keep: Annotated[
        str,
        typer.Option(
            "--pixel-dp-keep",
            metavar="HOW",
            help="recompute: noise follows the norms of weights; normalise: keeps these at 1.",
        ),
    ] = PixelDP.keep
    pixel_dp_draws: Annotated[
        int,
        typer.Option(
            "--pixel-dp-draws", metavar="N", help="Noise draws that a test averages; 0 for none."
        ),
    ] = PixelDP.draws
    pixel_dp_insecure_test_seed: Annotated[
        int | None,
        typer.Option(
            "--pixel-dp-insecure-test-seed",
            metavar="N",
            help="Tests only: repeatable noise, and no privacy.",
        ),
    ] = PixelDP.insecure_test_seed

    def pixel_dp(self) -> PixelDP | None:
        """Return how it is done, None without any; a value that is none is an `InputError`."""
        given: dict[str, Any] = {
            name.removeprefix("pixel_dp_"): value
            for name, value in vars(self).items()
            if name.startswith("pixel_dp_")
        }
        if self.pixel_dp_after is None:
            expect_defaults(
                replace(self, **_others(self)),
                "needs --pixel-dp-after, the layer behind which there is noise",
            )
            return None
        if self.pixel_dp_epsilon is None:
            raise InputError.at("--pixel-dp-epsilon", "is missing, of which the noise is made")
        return PixelDP(**given)


@dataclass(frozen=True)
class DefenceFlags(PixelDPFlags):
    """What devices do so that smashed data show less."""

    nopeek: Annotated[
        float,
        typer.Option(
            "--nopeek",
            metavar="ALPHA",
            help="Add so many times the distance correlation of inputs and smashed data to the "
            "loss.",
        ),
    ] = Options.nopeek


def _others(flags: PixelDPFlags) -> dict[str, Any]:
    """Return the defaults of flags that are not of the noise layer."""
    return {"nopeek": Options.nopeek} if isinstance(flags, DefenceFlags) else {}
