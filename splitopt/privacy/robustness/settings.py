"""How a certificate is drawn and attacked; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from splitopt.documents.checks import (
    check_choice,
    check_positive,
    check_seed,
    check_whole,
    is_finite,
)
from splitopt.errors import InputError, shown

Scores = Literal["votes", "probabilities"]
Accounting = Literal["exact", "classic"]
MOST_DRAWS = 10_000_000
MOST_SAMPLES = 1_000_000
MOST_STEPS = 100_000


@dataclass(frozen=True)
class RobustnessSettings:
    """How certificates are made, and the attacks beside them.

    Parameters
    ----------
    radii
        Norms of changes at which accuracy is given, in the units of the data; empty for a half, one
        and two times the radius of the noise layer.
    draws
        Noise draws for each input.
    confidence
        Of the intervals of the expected scores of one input, all classes together; or of all
        inputs together, if `simultaneous`.
    scores
        ``"votes"``: which class has the largest output, as 0 or 1; intervals of Clopper and Pearson
        (1934). ``"probabilities"``: softmax; intervals of Hoeffding (1963).
    accounting
        ``"exact"``: at every epsilon the least delta of the mechanism (Balle and Wang 2018), of
        which the best is taken. ``"classic"``: the delta of the noise layer, and the published
        formula up to an epsilon of 1. The Laplace mechanism has one accounting.
    simultaneous
        Whether all certificates hold together with this confidence, rather than each by itself.
    samples
        Test samples, the first ones of the data.
    attack_steps, attack_draws
        Of projected gradient descent: steps, and noise draws over which each gradient is averaged;
        0 steps for no attack.
    seed
        Of the noise that certifies and attacks.

    Raises
    ------
    InputError
        A name that is none, a number out of its range.
    """

    radii: tuple[float, ...] = ()
    draws: int = 300
    confidence: float = 0.95
    scores: Scores = "votes"
    accounting: Accounting = "exact"
    simultaneous: bool = False
    samples: int = 100
    attack_steps: int = 20
    attack_draws: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        for radius in self.radii:
            check_positive("radius", radius)
        object.__setattr__(self, "radii", tuple(sorted(set(map(float, self.radii)))))
        check_whole("draws", self.draws, 1, MOST_DRAWS)
        if not (is_finite(self.confidence) and 0 < self.confidence < 1):
            raise InputError.at(
                "confidence", f"is {shown(self.confidence)}, it must be above 0 and below 1"
            )
        check_choice("scores", self.scores, get_args(Scores))
        check_choice("accounting", self.accounting, get_args(Accounting))
        check_whole("samples", self.samples, 1, MOST_SAMPLES)
        check_whole("attack_steps", self.attack_steps, 0, MOST_STEPS)
        check_whole("attack_draws", self.attack_draws, 1, MOST_STEPS)
        check_seed(self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {**vars(self), "radii": list(self.radii)}
