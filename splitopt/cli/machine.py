"""``splitopt machine``: a machine as a few numbers that predict networks it has not run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import with_flags
from splitopt.errors import InputError

if TYPE_CHECKING:
    from splitopt.profiles.fitting.machine_fit import Observation
    from splitopt.profiles.fitting.machine_model import MachineModel
    from splitopt.profiles.readers.split_table import Messages
    from splitopt.profiles.table.profile import ModelProfile

app = typer.Typer(no_args_is_help=True, help="Fit a machine model to measured networks.")


@app.callback()
def _root() -> None:
    """Fit a machine model to measured networks."""


@dataclass(frozen=True)
class MeasuredFlags:
    """What was measured on the machine."""

    batch: Annotated[
        int | None,
        typer.Option("--batch", metavar="N", min=1, help="Samples in a timed batch."),
    ] = None
    splits: Annotated[
        Path | None,
        typer.Option(
            "--splits",
            metavar="SPLITS.csv",
            help="Fit to measured splits (network,split,device_s,server_s) instead of layers.",
        ),
    ] = None
    measured: Annotated[
        str,
        typer.Option(
            "--measured", metavar="WHAT", help="What the splits' times are: training or forward."
        ),
    ] = "training"
    messages: Annotated[
        Path | None,
        typer.Option(
            "--messages", metavar="MESSAGES.csv", help="Measured messages (bytes,seconds)."
        ),
    ] = None

    def observations(
        self, machine: str, tables: dict[str, ModelProfile]
    ) -> tuple[list[Observation], int]:
        """Collect the times of the splits or of the layers, and for which batch they are."""
        if self.splits is None:
            return _of_layers(machine, tables, self.batch)
        from splitopt.profiles.readers.split_table import read_splits

        if self.batch is None:
            raise InputError("--batch: is needed with --splits, whose times are for a batch")
        return read_splits(self.splits, tables, self.batch, self.measured), self.batch


@app.command("fit")
@with_flags
def fit(
    machine: Annotated[
        str, typer.Argument(metavar="MACHINE", help="The machine's name in the profiles.")
    ],
    profiles: Annotated[
        list[Path],
        typer.Argument(metavar="PROFILE.json...", help="Profiles of networks, measured on it."),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="MACHINE.json", help="Write the machine model."),
    ] = None,
    given: MeasuredFlags,
    as_json: shared.AsJson = False,
) -> int:
    """Fit a machine model: seconds per FLOP by kind, per byte, per operator and per message.

    Example: splitopt machine fit laptop resnet18.json vgg11.json mobilenetv2.json -o laptop.json
    """
    from splitopt.profiles.fitting.machine_fit import fit_machine
    from splitopt.profiles.readers.split_table import read_messages

    for path in profiles:
        shared.check_outputs(path, output)
    if given.splits is None and given.measured != "training":
        raise InputError("--measured is about --splits; give the table or leave it out")
    observations, batch = given.observations(machine, _load(profiles))
    cost = None if given.messages is None else read_messages(given.messages)
    model = fit_machine(observations, machine, batch, 0.0 if cost is None else cost.message_s)
    if output is not None:
        model.save(output)
    if as_json:
        shared.print_json(model.to_dict())
    else:
        _print(model, observations, cost, output)
    return 0


def _print(
    model: MachineModel,
    observations: list[Observation],
    cost: Messages | None,
    output: Path | None,
) -> None:
    console = shared.console()
    console.print(f"{model.sentence()}.", highlight=False)
    if cost is not None:
        console.print(
            f"* The messages travel at {8e-6 * cost.bytes_per_s:.4g} Mbit/s, to state as the rate "
            "of the links.",
            highlight=False,
        )
    for line in (*_left_out(observations), *model.notes):
        console.print(f"* {line}", highlight=False)
    if output is not None:
        console.print(f"Written to {output}; in a scenario: machine_model: {output}")


def _load(paths: list[Path]) -> dict[str, ModelProfile]:
    from splitopt.profiles import load_profile

    found: dict[str, ModelProfile] = {}
    for path in paths:
        profile = load_profile(path)
        if profile.name in found:
            raise InputError(
                f"{path}: a network {profile.name!r} was given before; name one otherwise "
                "(splitopt profile --name)"
            )
        found[profile.name] = profile
    return found


def _of_layers(
    machine: str, tables: dict[str, ModelProfile], batch: int | None
) -> tuple[list[Observation], int]:
    """Collect the times of the layers, and the one batch that they are for."""
    from splitopt.profiles.fitting.machine_fit import observed

    found = [observed(profile, machine, batch) for profile in tables.values()]
    sizes = {profile.machines[machine].batch or batch for profile in tables.values()}
    if len(sizes) > 1:
        listed = ", ".join(str(size) for size in sorted(size or 0 for size in sizes))
        raise InputError(f"the profiles were timed with batches of {listed}; measure all with one")
    size = sizes.pop()
    assert size is not None  # observed() saw to it
    return found, size


def _left_out(observations: list[Observation]) -> list[str]:
    """State how well each network is predicted by the others."""
    import numpy as np

    from splitopt.profiles.fitting.machine_fit import LEAST_FOR_INTERVAL, left_out

    if len(observations) < LEAST_FOR_INTERVAL:
        return []
    return [
        f"{name}, left out: its parts are predicted {100 * np.median(errors):.0f} % off in the "
        f"median, {100 * errors.max():.0f} % at most"
        for name, ratios in left_out(observations)
        for errors in [np.abs(1 / ratios - 1)]
    ]
