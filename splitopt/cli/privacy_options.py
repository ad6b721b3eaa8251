"""The flags of differential privacy: the fields of `Privacy`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from splitopt.cli.flags import expect_defaults
from splitopt.training.privacy_options import Privacy

_FIELDS = {
    "dp_clip": "clip_norm",
    "dp_noise": "noise_multiplier",
    "dp_epsilon": "target_epsilon",
    "dp_delta": "delta",
    "dp_noise_kind": "noise",
    "dp_sampling": "sampling",
    "dp_accountant": "accountant",
    "dp_covers": "covers",
    "dp_insecure_test_seed": "insecure_test_seed",
}
"""Flag -> field."""


@dataclass(frozen=True)
class PrivacyFlags:
    """Differential privacy of what is trained; without --dp-clip there is none."""

    dp_clip: Annotated[
        float | None,
        typer.Option(
            "--dp-clip",
            metavar="C",
            help="Train with differential privacy: the largest norm of a sample's gradient.",
        ),
    ] = None
    dp_noise: Annotated[
        float | None,
        typer.Option("--dp-noise", metavar="SIGMA", help="Noise of a sum of gradients, over C."),
    ] = None
    dp_epsilon: Annotated[
        float | None,
        typer.Option(
            "--dp-epsilon", metavar="X", help="Instead, find the noise for this epsilon in the end."
        ),
    ] = None
    dp_delta: Annotated[
        float, typer.Option("--dp-delta", metavar="X", help="Delta of (epsilon, delta).")
    ] = Privacy.delta
    dp_noise_kind: Annotated[
        str,
        typer.Option(
            "--dp-noise-kind",
            metavar="HOW",
            help="per_batch (Abadi et al.), or per_sample (SplitFed Eq. 3).",
        ),
    ] = Privacy.noise
    dp_sampling: Annotated[
        str,
        typer.Option(
            "--dp-sampling",
            metavar="HOW",
            help="Batches: poisson, with amplification, or shuffled, without.",
        ),
    ] = Privacy.sampling
    dp_accountant: Annotated[
        str, typer.Option("--dp-accountant", metavar="NAME", help="rdp, or prv: tighter, slower.")
    ] = Privacy.accountant
    dp_covers: Annotated[
        str,
        typer.Option(
            "--dp-covers", metavar="WHAT", help="client: parts on devices, or model: all parts."
        ),
    ] = Privacy.covers
    dp_insecure_test_seed: Annotated[
        int | None,
        typer.Option(
            "--dp-insecure-test-seed",
            metavar="N",
            help="Tests only: repeatable noise, and no privacy.",
        ),
    ] = Privacy.insecure_test_seed

    def privacy(self) -> Privacy | None:
        """Return how it is done, None without any; a value that is none is an `InputError`."""
        if self.dp_clip is None:
            expect_defaults(self, "needs --dp-clip, the largest norm of a gradient")
            return None
        given: dict[str, Any] = {name: getattr(self, flag) for flag, name in _FIELDS.items()}
        return Privacy(**given)
