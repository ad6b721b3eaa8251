"""Noise behind a layer of the client part, so that one input is hidden: the choices of PixelDP.

Free of PyTorch; what they mean is done in `splitopt.training.privacy.pixel`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from splitopt.documents.checks import check_choice, check_positive, check_whole, is_finite, is_whole
from splitopt.errors import InputError, shown

Mechanism = Literal["gaussian", "laplace"]
Calibration = Literal["classic", "exact"]
Keep = Literal["recompute", "normalise"]
MOST_DRAWS = 100_000


@dataclass(frozen=True)
class PixelDP:
    """A noise layer (PixelDP, Lecuyer et al. 2019; SplitFed Eq. 5) behind a layer of the model.

    What leaves the noise layer is (epsilon, delta)-differentially private with regard to changes
    of one input of norm at most ``radius``, and so is everything that is computed from it.

    Parameters
    ----------
    after
        The layer, a cut of the model, behind which there is noise. All devices must hold it.
    epsilon
        Of changes of norm `radius`.
    mechanism
        ``"gaussian"``: changes and the sensitivity are measured in L2. ``"laplace"``: in L1, and
        delta is 0.
    delta
        Of the Gaussian mechanism.
    radius
        L: the norm of the largest change of an input that epsilon is for, in the units of the data.
    calibration
        Of the Gaussian mechanism. ``"classic"``: sqrt(2 ln(1.25/delta)) Delta L / epsilon, which is
        proved up to an epsilon of 1 (Dwork and Roth 2014, Theorem A.1). ``"exact"``: the least
        standard deviation that does (Balle and Wang 2018, Theorem 8), for any epsilon.
    keep
        ``"recompute"``: Delta is that of the weights as they are, and the noise follows it.
        ``"normalise"``: after every step the operator norm of every weight before the noise layer
        is brought to 1 where it is larger, and the noise stays as it is.
    draws
        Noise draws over which tests between rounds average, beside the test without noise; 0 for
        that one alone.
    insecure_test_seed
        Draw noise from this seed, so that tests can repeat it. Whoever knows it can take the noise
        away: smashed data are as they would be without.

    Raises
    ------
    InputError
        A number out of its range, a name that is none.
    """

    after: str
    epsilon: float
    mechanism: Mechanism = "gaussian"
    delta: float = 1e-5
    radius: float = 0.1
    calibration: Calibration = "classic"
    keep: Keep = "recompute"
    draws: int = 10
    insecure_test_seed: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.after, str) or not self.after:
            raise InputError.at("after", f"is {shown(self.after)}, it must be the name of a layer")
        check_positive("epsilon", self.epsilon)
        check_positive("radius", self.radius)
        if not (is_finite(self.delta) and 0 < self.delta < 1):
            raise InputError.at("delta", f"is {shown(self.delta)}, it must be above 0 and below 1")
        for name, known in (
            ("mechanism", Mechanism),
            ("calibration", Calibration),
            ("keep", Keep),
        ):
            check_choice(name, getattr(self, name), get_args(known))
        check_whole("draws", self.draws, 0, MOST_DRAWS)
        if self.mechanism == "gaussian" and self.calibration == "classic" and self.epsilon > 1:
            raise InputError.at(
                "epsilon",
                f"is {self.epsilon:g}, and the classic formula of the Gaussian mechanism is proved "
                "up to 1 only; take the exact calibration, which holds for any",
            )
        seed = self.insecure_test_seed
        if seed is not None and not is_whole(seed, 0):
            raise InputError.at(
                "insecure_test_seed", f"is {shown(seed)}, it must be a whole number >= 0"
            )

    @property
    def norm(self) -> Literal["l1", "l2"]:
        """The norm of changes and of the sensitivity."""
        return "l2" if self.mechanism == "gaussian" else "l1"

    def identity(self) -> dict[str, Any]:
        """Return what makes a run another one, as plain data; of a seed only that there is one."""
        found = asdict(self)
        found["insecure_test_seed"] = self.insecure_test_seed is not None
        return found
