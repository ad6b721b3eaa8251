"""How much of a single sample a training may show: the choices of DP-SGD.

Free of PyTorch; what they mean is done in `splitopt.training.privacy`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from splitopt.documents.checks import check_choice, is_number, is_whole
from splitopt.errors import InputError

Noise = Literal["per_batch", "per_sample"]
Sampling = Literal["poisson", "shuffled"]
Accountant = Literal["rdp", "prv"]
Covers = Literal["client", "model"]


@dataclass(frozen=True)
class Privacy:
    """Differential privacy of a training, by DP-SGD (Abadi et al. 2016; SplitFed Eq. 2-3).

    Each sample's own gradient is scaled down to a norm of at most ``clip_norm``; these are added
    up, Gaussian noise is added to the sum, and it is divided by the batch size.

    Parameters
    ----------
    clip_norm
        C: the largest Euclidean norm of the gradient of one sample's own loss, over all covered
        parameters that its device trains.
    noise_multiplier
        sigma, from which epsilon follows; 0 for no noise, and no privacy.
    target_epsilon
        The epsilon of each device after all rounds, from which its sigma follows.
    delta
        The delta of (epsilon, delta).
    noise
        ``"per_batch"``: one noise of standard deviation sigma C for the sum (Abadi et al.).
        ``"per_sample"``: one for each sample of the batch size (SplitFed Eq. 3 as printed), sigma
        C sqrt(n) in all, which is accounted as what it is.
    sampling
        ``"poisson"``: each sample is in a batch by chance, independently, with probability q =
        batch size / samples; accounted with amplification. ``"shuffled"``: batches walk through
        the data in random order; accounted without, see `splitopt.training.privacy.accounting`.
    accountant
        ``"rdp"``: Renyi differential privacy, an upper bound. ``"prv"``: numerical composition of
        privacy loss variables, tighter by a tenth or so and slower.
    covers
        ``"client"``: the parts that devices hold. ``"model"``: all parts.
    insecure_test_seed
        Draw noise and batches from this seed, so that tests can repeat them. Whoever knows it can
        take the noise away: there is no privacy.

    Raises
    ------
    InputError
        A number out of its range, a name that is none, or not one of ``noise_multiplier`` and
        ``target_epsilon``.
    """

    clip_norm: float
    noise_multiplier: float | None = None
    target_epsilon: float | None = None
    delta: float = 1e-5
    noise: Noise = "per_batch"
    sampling: Sampling = "poisson"
    accountant: Accountant = "rdp"
    covers: Covers = "client"
    insecure_test_seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("clip_norm", "target_epsilon"):
            value = getattr(self, name)
            if not (value is None and name == "target_epsilon") and not _is_above_zero(value):
                raise InputError.at(name, f"is {value!r}, it must be above 0 and finite")
        sigma = self.noise_multiplier
        if sigma is not None and not (sigma == 0 or _is_above_zero(sigma)):
            raise InputError.at("noise_multiplier", f"is {sigma!r}, it must be >= 0 and finite")
        if not (_is_above_zero(self.delta) and self.delta < 1):
            raise InputError.at("delta", f"is {self.delta!r}, it must be above 0 and below 1")
        if (sigma is None) == (self.target_epsilon is None):
            raise InputError.at(
                "noise_multiplier",
                "and target_epsilon are alternatives: give the noise, from which epsilon follows, "
                "or the epsilon, from which the noise follows",
            )
        for name, known in (
            ("noise", Noise),
            ("sampling", Sampling),
            ("accountant", Accountant),
            ("covers", Covers),
        ):
            check_choice(name, getattr(self, name), get_args(known))
        seed = self.insecure_test_seed
        if seed is not None and not is_whole(seed, 0):
            raise InputError.at(
                "insecure_test_seed", f"is {seed!r}, it must be a whole number >= 0"
            )

    def identity(self) -> dict[str, Any]:
        """Return what makes a run another one, as plain data; of a seed only that there is one."""
        found = asdict(self)
        found["insecure_test_seed"] = self.insecure_test_seed is not None
        return found


def _is_above_zero(value: object) -> bool:
    return is_number(value) and 0 < value < float("inf")
