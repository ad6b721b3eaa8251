"""The flags of a generator and of its training: the fields of `GeneratorOptions`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from splitopt.cli.flags import expect_defaults
from splitopt.documents.checks import check_whole
from splitopt.errors import InputError, shown
from splitopt.generators.options import GeneratorOptions, Sanitizing


@dataclass(frozen=True)
class SanitizeFlags:
    """How gradients are made private; without --sanitize they are not."""

    sanitize: Annotated[
        str | None,
        typer.Option(
            "--sanitize",
            metavar="READING",
            help="Clip the generator's gradients and add noise: of the batch, at each sample, or "
            "each value (batch, sample, value).",
        ),
    ] = None
    noise_multiplier: Annotated[
        float | None,
        typer.Option("--noise-multiplier", metavar="S", help="Noise over the clip, sigma."),
    ] = None
    clip: Annotated[
        float, typer.Option("--clip", metavar="C", help="Largest norm, or largest value.")
    ] = Sanitizing.clip
    delta: Annotated[
        float, typer.Option("--delta", metavar="X", help="Delta of (epsilon, delta).")
    ] = Sanitizing.delta
    insecure_test_seed: Annotated[
        int | None,
        typer.Option(
            "--insecure-test-seed",
            metavar="N",
            help="Tests only: repeatable noise, and no privacy.",
        ),
    ] = None

    def sanitizing(self) -> Sanitizing | None:
        """Return how it is done, None without; a value that is none is an `InputError`."""
        if self.sanitize is None:
            expect_defaults(self, "needs --sanitize READING, which says what is clipped")
            return None
        if self.noise_multiplier is None:
            raise InputError.at(
                "--noise-multiplier", "is missing, from which epsilon follows; 0 for no noise"
            )
        return Sanitizing(
            self.sanitize, self.clip, self.noise_multiplier, self.delta, self.insecure_test_seed  # type: ignore[arg-type]
        )  # fmt: skip


@dataclass(frozen=True)
class NetworkFlags:
    """The network, and how long and by what steps it learns."""

    network: Annotated[
        str,
        typer.Option(
            "--network",
            metavar="NAME",
            help="small: images of 8 to 32 pixels; iotsl: the paper's, 28 x 28.",
        ),
    ] = GeneratorOptions.network
    steps: Annotated[int, typer.Option("--steps", metavar="N", help="Steps of the generator.")] = (
        GeneratorOptions.steps
    )
    critic_steps: Annotated[
        int, typer.Option("--critic-steps", metavar="N", help="Steps of a critic before each.")
    ] = GeneratorOptions.critic_steps
    batch: Annotated[int, typer.Option("--batch", metavar="N", help="Samples of a step.")] = (
        GeneratorOptions.batch
    )
    penalty: Annotated[
        float, typer.Option("--penalty", metavar="X", help="Weight of the gradient penalty.")
    ] = GeneratorOptions.penalty
    lr: Annotated[float, typer.Option("--lr", metavar="X", help="Learning rate of Adam.")] = (
        GeneratorOptions.lr
    )
    noise: Annotated[
        int, typer.Option("--noise", metavar="N", help="Bernoulli values that a sample comes from.")
    ] = GeneratorOptions.noise
    critics: Annotated[
        int,
        typer.Option(
            "--critics",
            metavar="D",
            help="Divide the samples among so many critics, of which one is drawn for each step.",
        ),
    ] = GeneratorOptions.critics

    def options(self, sanitize: Sanitizing | None) -> GeneratorOptions:
        """Return the options; a value that is none is an `InputError`."""
        return GeneratorOptions(**vars(self), sanitize=sanitize)


@dataclass(frozen=True)
class KeepingFlags:
    """Where a training is kept, to go on with."""

    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="DIR",
            help="Keep the training there, critics included: for nobody else.",
        ),
    ] = None
    checkpoint_every: Annotated[
        int, typer.Option("--checkpoint-every", metavar="K", help="After every so many steps.")
    ] = 100
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in that folder.")
    ] = False

    def check(self) -> None:
        """Reject a number that is none, and a flag that needs another one."""
        check_whole("--checkpoint-every", self.checkpoint_every, 1)
        if self.resume and self.checkpoint is None:
            raise InputError.at("--resume", "needs --checkpoint, the folder to go on from")


def labels_of(text: str | None) -> list[int] | None:
    """Return the labels of ``"0,1,2"``, None for all."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and word.isascii() and len(word) < 10 for word in words):
        raise InputError.at(
            "--classes", f"is {shown(text)}, it must be whole numbers with commas, such as 0,1,2"
        )
    return sorted({int(word) for word in words})
