"""``splitopt robustness``: which predictions no small change of the input can turn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from splitopt.cli import options as shared
from splitopt.cli.defence_options import PixelDPFlags
from splitopt.cli.flags import with_flags
from splitopt.errors import InputError, shown
from splitopt.privacy.robustness.settings import RobustnessSettings


@dataclass(frozen=True)
class CertificateFlags:
    """How certificates are made and attacked; as the fields of `RobustnessSettings`."""

    radius: Annotated[
        str | None,
        typer.Option(
            "--radius",
            metavar="X,...",
            help="Norms of changes; by default a half, one and two times that of the noise layer.",
        ),
    ] = None
    draws: Annotated[
        int, typer.Option("--draws", metavar="N", help="Noise draws for each input.")
    ] = RobustnessSettings.draws
    confidence: Annotated[
        float,
        typer.Option(
            "--confidence", metavar="X", help="Of each certificate, all classes together."
        ),
    ] = RobustnessSettings.confidence
    simultaneous: Annotated[
        bool, typer.Option("--simultaneous", help="Of all certificates together instead.")
    ] = RobustnessSettings.simultaneous
    scores: Annotated[
        str,
        typer.Option("--scores", metavar="WHAT", help="votes, or probabilities (softmax)."),
    ] = RobustnessSettings.scores
    accounting: Annotated[
        str,
        typer.Option(
            "--accounting",
            metavar="HOW",
            help="Of Gaussian noise: exact, or classic, as published.",
        ),
    ] = RobustnessSettings.accounting
    samples: Annotated[
        int, typer.Option("--samples", metavar="N", help="Test samples, the first ones.")
    ] = RobustnessSettings.samples
    attack_steps: Annotated[
        int, typer.Option("--attack-steps", metavar="N", help="Of PGD; 0 for no attack.")
    ] = RobustnessSettings.attack_steps
    attack_draws: Annotated[
        int,
        typer.Option(
            "--attack-draws", metavar="N", help="Noise draws in each gradient of attacks."
        ),
    ] = RobustnessSettings.attack_draws
    seed: shared.Seed = RobustnessSettings.seed

    def settings(self) -> RobustnessSettings:
        """Return the settings; raise `InputError` for a value that is none."""
        given: dict[str, Any] = dict(vars(self))
        given["radii"] = _numbers(given.pop("radius"))
        return RobustnessSettings(**given)


@dataclass(frozen=True)
class SubjectFlags:
    """What is certified beside the target."""

    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="DATA", help="As for train; that of the checkpoint by default."
        ),
    ] = None
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="NAME|MODULE:FACTORY", help="Of a checkpoint of a model of your own."
        ),
    ] = None
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="FILE.safetensors",
            help="Of a MODEL: what train --save-model wrote.",
        ),
    ] = None
    stages: shared.Stages = None


@with_flags
def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT|MODEL",
            help="The folder of a checkpoint of a training with --pixel-dp-after; or a model, with "
            "--weights and the flags of its noise layer.",
        ),
    ],
    certificate: CertificateFlags,
    subject: SubjectFlags,
    noise: PixelDPFlags,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="TABLE.json", help="Write the table.")
    ] = None,
    report: shared.PageFile = None,
    as_json: shared.AsJson = False,
) -> int:
    """Certify predictions of a model with a noise layer, beside attacks on it.

    Example: splitopt robustness checkpoint --radius 0.1,0.2 --draws 1000 --report robustness.html
    """
    from splitopt.privacy import robustness_table
    from splitopt.report.robustness import robustness_to_html, robustness_to_terminal

    settings, pixel_dp = certificate.settings(), noise.pixel_dp()
    shared.check_outputs(Path(target), output, report)
    with shared.telling("Certificates", as_json) as progress:
        table = robustness_table(
            target,
            subject.data,
            pixel_dp,
            settings=settings,
            model=subject.model,
            weights=subject.weights,
            stages=shared.stage_names(subject.stages),
            progress=progress,
        )
    if output is not None:
        table.save(output)
    if report is not None:
        from splitopt.storage.writing import write_atomic

        write_atomic(report, robustness_to_html(table))
    if as_json:
        shared.print_json(table.to_dict())
    else:
        shared.console().print(robustness_to_terminal(table))
    return 0


def _numbers(text: str | None) -> tuple[float, ...]:
    """Return numbers between commas."""
    if text is None:
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError.at(
            "--radius", f"is {shown(text)}; write numbers with commas between, such as 0.1,0.2"
        ) from None
