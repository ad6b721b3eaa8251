"""What is measured of a model's leakage, and how long it is searched for; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from splitopt.documents.checks import check_choice, check_seed, check_whole

RECONSTRUCTIONS = ("gradient_matching", "feature_inversion")
"""Attacks that give back a sample."""
ATTACKS = (*RECONSTRUCTIONS, "distance_correlation", "label_inference", "membership_inference")
VIEWS = ("white", "black")
"""Whether the attacker has the client part: one server for everything, or two that do not talk."""
MOST_SAMPLES = 10_000
MOST_STEPS = 1_000_000


@dataclass(frozen=True)
class LeakageSettings:
    """How leakage is measured.

    Parameters
    ----------
    attacks
        Names in `ATTACKS`, in this order.
    views
        Names in `VIEWS`; those that infer do not look at the client part and are the same in both.
    samples
        How many samples are reconstructed, the first ones of a random order of the training data.
    batch
        How many of them go into one gradient, for gradient matching.
    steps, restarts
        Of each search, see `splitopt.privacy.leakage.attacks.search.Search`.
    inferences
        How many samples the attacks without a reconstruction look at: as many of the training data
        as of the test data.
    epochs
        Over the whole training data before anything is measured; 0 for the weights as they are.
    seed
        Of the choice of samples, the starts of searches, the training.

    Raises
    ------
    InputError
        An attack or view that there is not, a number out of its range.
    """

    attacks: tuple[str, ...] = ATTACKS
    views: tuple[str, ...] = VIEWS
    samples: int = 8
    batch: int = 1
    steps: int = 150
    restarts: int = 1
    inferences: int = 256
    epochs: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.attacks:
            check_choice("attacks", name, ATTACKS)
        for name in self.views:
            check_choice("views", name, VIEWS)
        object.__setattr__(self, "attacks", tuple(a for a in ATTACKS if a in self.attacks))
        object.__setattr__(self, "views", tuple(v for v in VIEWS if v in self.views))
        check_whole("attacks", len(self.attacks), 1)
        check_whole("views", len(self.views), 1)
        check_whole("samples", self.samples, 2, MOST_SAMPLES)
        check_whole("batch", self.batch, 1, self.samples)
        check_whole("steps", self.steps, 1, MOST_STEPS)
        check_whole("restarts", self.restarts, 1, MOST_STEPS)
        check_whole("inferences", self.inferences, 4, MOST_SAMPLES)
        check_whole("epochs", self.epochs, 0, MOST_STEPS)
        check_seed(self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        own = dict(vars(self))
        return {**own, "attacks": list(self.attacks), "views": list(self.views)}
