"""What the steps of DP-SGD come to: epsilon from the noise, and the noise from epsilon.

Accountants are those of opacus. Two ways of drawing batches are accounted as what they are:

- Poisson batches: every step is the Gaussian mechanism on a random sample of the data, with
  amplification by the sampling rate q (Mironov, Talwar and Zhang 2019; Gopi, Lee and Wutschitz
  2021). Neighbours differ in one sample more or less.
- Shuffled batches: no amplification, q = 1. In one walk through the data a sample is in one batch
  alone, so that the batches of a walk compose in parallel, and walks one after the other. Sizes of
  batches are taken as public: neighbours differ in one sample whose gradient is zero instead.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from splitopt.errors import CapabilityError, InputError
from splitopt.training.privacy_options import Accountant

_ORDERS = [
    *(1 + tenth / 10 for tenth in range(1, 100)),
    *range(12, 64),
    *(64, 80, 96, 128, 192, 256, 384, 512, 1024),
]
"""Orders of Renyi divergence: those of opacus, and higher ones for small epsilons."""


@lru_cache(maxsize=4096)
def epsilon_of(
    noise_multiplier: float, rate: float, steps: int, delta: float, accountant: Accountant = "rdp"
) -> float:
    """Return the epsilon of some steps.

    Parameters
    ----------
    noise_multiplier
        Standard deviation of the noise of a sum, over the largest norm of a sample's gradient.
    rate
        q: the probability of a sample to be in a batch; 1 without amplification.
    steps
        How many batches were drawn.
    delta
        Above 0 and below 1.
    accountant
        ``"rdp"`` or ``"prv"``; both give upper bounds.

    Returns
    -------
    Epsilon, infinite without noise.

    Raises
    ------
    InputError
        The numbers are beyond what the accountant can do.
    CapabilityError
        opacus is not installed.
    """
    if steps == 0:
        return 0.0
    if noise_multiplier == 0:
        return math.inf
    with _accounting(accountant) as found:
        found.history = [(noise_multiplier, rate, steps)]
        return float(found.get_epsilon(delta, **_settings(accountant)))


@lru_cache(maxsize=256)
def noise_for(
    epsilon: float, rate: float, steps: int, delta: float, accountant: Accountant = "rdp"
) -> float:
    """Return the noise multiplier with which some steps stay within an epsilon.

    Parameters are those of `epsilon_of`. What comes out is within one percent of `epsilon`, and
    not above it.

    Raises
    ------
    InputError
        No noise is known to be enough, or the numbers are beyond what the accountant can do.
    CapabilityError
        opacus is not installed.
    """
    with _accounting(accountant):
        from opacus.accountants.utils import get_noise_multiplier

        try:
            return float(
                get_noise_multiplier(
                    target_epsilon=epsilon,
                    target_delta=delta,
                    sample_rate=rate,
                    steps=steps,
                    accountant=accountant,
                    epsilon_tolerance=min(0.01, 0.01 * epsilon),
                    **_settings(accountant),
                )
            )
        except ValueError as error:
            if "budget is too low" not in str(error):
                raise
    raise InputError.at(
        "target_epsilon",
        f"is {epsilon:g}, for which no noise is enough in {steps} steps at delta {delta:g} by "
        f"{accountant}; choose a larger one",
    )


def _settings(accountant: Accountant) -> dict[str, Any]:
    return {"alphas": _ORDERS} if accountant == "rdp" else {}


@contextmanager
def _accounting(accountant: Accountant) -> Iterator[Any]:
    """Yield an accountant of opacus, quietly; what it cannot do is an `InputError`."""
    import numpy as np

    need_opacus()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        from opacus.accountants import create_accountant

        try:
            yield create_accountant(accountant)
        except InputError:
            raise
        except (ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
            other = "rdp" if accountant == "prv" else "another noise or batch size"
            raise InputError.at(
                "accountant", f"{accountant} cannot account for these steps ({error}); take {other}"
            ) from None


def need_opacus() -> None:
    """Raise `CapabilityError` that says how to install opacus, if it is absent."""
    if importlib.util.find_spec("opacus") is None:
        raise CapabilityError(
            "accounting for privacy needs opacus, which is not installed; install it with: "
            "pip install 'splitopt[privacy]'"
        )
