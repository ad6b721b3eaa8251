"""What a generator of samples is trained with: the choices of IoTSL's Sections IV-A and IV-D.

Free of PyTorch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from splitopt.documents.checks import (
    check_choice,
    check_number,
    check_positive,
    check_whole,
    is_finite,
    is_whole,
)
from splitopt.documents.taking import expect
from splitopt.errors import InputError, shown
from splitopt.generators.spec import NETWORKS

Reading = Literal["batch", "sample", "value"]


@dataclass(frozen=True)
class Sanitizing:
    """How the gradients are made private that teach the generator (IoTSL Eq. 4 and 5).

    Parameters
    ----------
    reading
        Of what the paper prints, which says three things of what is clipped. ``"batch"``: the
        gradient of the generator's parameters, of the whole batch, scaled down to a norm of at
        most C (Eq. 4). ``"sample"``: the gradient that arrives at each generated image, scaled
        down to a norm of at most C before it goes on through the generator (GS-WGAN, which the
        paper cites; its norm is near 1, hence C = 1). ``"value"``: every single value of the
        gradient of the parameters, cut to [-C, C] (the words before Eq. 4).
    clip
        C, above 0.
    noise_multiplier
        sigma: Gaussian noise of standard deviation sigma C is added to every value that was
        clipped. 0 for no noise, and no privacy.
    delta
        The delta of (epsilon, delta), above 0 and below 1.
    insecure_test_seed
        Draw noise and critics from this seed, so that tests can repeat them. Whoever knows it can
        take the noise away: there is no privacy.

    Raises
    ------
    InputError
        A number out of its range, or a reading that is none.
    """

    reading: Reading = "sample"
    clip: float = 1.0
    noise_multiplier: float = 1.0
    delta: float = 1e-5
    insecure_test_seed: int | None = None

    def __post_init__(self) -> None:
        check_choice("reading", self.reading, get_args(Reading))
        check_positive("clip", self.clip)
        check_number("noise_multiplier", self.noise_multiplier, 0.0, 1e9)
        if not (is_finite(self.delta) and 0 < self.delta < 1):
            raise InputError.at("delta", f"is {shown(self.delta)}, it must be above 0 and below 1")
        seed = self.insecure_test_seed
        if seed is not None and not is_whole(seed, 0):
            raise InputError.at(
                "insecure_test_seed", f"is {shown(seed)}, it must be a whole number >= 0"
            )

    def identity(self) -> dict[str, Any]:
        """Return what makes a run another one, as plain data; of a seed only that there is one."""
        return {**asdict(self), "insecure_test_seed": self.insecure_test_seed is not None}


@dataclass(frozen=True)
class GeneratorOptions:
    """How a conditional generator is trained against its critics (IoTSL Eq. 3, 6 and 7).

    Parameters
    ----------
    network
        ``"small"`` (any image of 8 to 32 pixels), or ``"iotsl"``: the paper's (28 x 28, one
        channel).
    steps
        How often the generator learns.
    critic_steps
        How often a critic learns before each of these.
    batch
        Samples of one step.
    penalty
        lambda of the gradient penalty.
    lr, betas
        Of Adam, of the generator and of the critics.
    noise
        Values of the Bernoulli noise that a sample is made of: 2 to the power of it different
        samples of a label, so that 10, as printed, are 1,024 of each.
    critics
        D: as many critics as the samples are divided among, none of which two of them see. They
        learn in turn; who teaches the generator in a step is drawn.
    sanitize
        How the gradients are made private; None for as they are.

    Raises
    ------
    InputError
        A number out of its range, or a network that is none.
    """

    network: str = "small"
    steps: int = 2000
    critic_steps: int = 5
    batch: int = 32
    penalty: float = 10.0
    lr: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.9)
    noise: int = 10
    critics: int = 1
    sanitize: Sanitizing | None = None

    def __post_init__(self) -> None:
        check_choice("network", self.network, NETWORKS)
        for name, most in (
            ("steps", 10**9),
            ("critic_steps", 10**6),
            ("batch", 10**6),
            ("noise", 10**4),
            ("critics", 10**6),
        ):
            check_whole(name, getattr(self, name), 1, most)
        check_number("penalty", self.penalty, 0.0, 1e9)
        check_positive("lr", self.lr)
        betas = self.betas
        pair = isinstance(betas, tuple | list) and len(betas) == 2
        if not pair or not all(is_finite(beta) and 0 <= beta < 1 for beta in betas):
            raise InputError.at(
                "betas", f"is {shown(betas)}, it must be two numbers from 0 to below 1"
            )
        object.__setattr__(self, "betas", tuple(betas))
        if self.sanitize is not None:
            expect(self.sanitize, Sanitizing, "sanitize")

    def identity(self) -> dict[str, Any]:
        """Return what makes a run another one, as plain data."""
        own = None if self.sanitize is None else self.sanitize.identity()
        return {**asdict(self), "betas": list(self.betas), "sanitize": own}
