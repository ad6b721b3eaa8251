"""What sanitised gradients are worth as differential privacy.

What is released is the generator after every step. In a step the gradient that a critic gives is
clipped, and Gaussian noise is added to it. The critic has seen all samples that it is trained on,
as often as it pleased, so that one sample more or less may turn that gradient into any other one
within the clip: the mechanism's sensitivity is twice the bound on the norm, and no sampling of
batches makes it any smaller. With one critic that saw all samples, steps therefore compose without
amplification, and exactly: T steps that shift the mean by m deviations are one by m sqrt(T) (Dong,
Roth and Su 2022), whose epsilon is that of Balle and Wang (2018).

With D critics on samples of their own one is drawn in each step, and a sample counts in a step
with probability q = 1/D (GS-WGAN; Chen, Orekondy and Fritz 2020). The bound is Theorem 9 of Wang,
Balle and Kasiviswanathan (2019), of one of D drawn without replacement. It asks for two things.
Gradients of any two critics must be as close as those of one critic with one sample changed: within
the clip any two are. And the draws must leave no trace, so that who teaches must not change what a
critic learns: here critics learn in turn, whoever is drawn. Where single steps cost much, counting
is better: but for a chance of delta / 2, the critic that saw a sample is drawn at most K times in
T steps (a binomial tail), and given who is drawn, that is K mechanisms at delta / 2.

Neighbours are data sets of one size that differ in one sample. Free of PyTorch and of opacus.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

from splitopt.documents.checks import is_finite, is_whole
from splitopt.errors import InputError, shown
from splitopt.generators.options import GeneratorOptions, Sanitizing
from splitopt.generators.spec import NetworkSpec
from splitopt.generators.work import work_of
from splitopt.training.privacy.pixel.mechanisms import gaussian_delta, largest

_ORDERS = (*range(2, 64), 80, 96, 128, 192, 256, 384, 512, 1024)
"""Whole orders of Renyi divergence, as the theorem has them."""
_FAR = 500.0
"""Of shifts further than these the bound by concentrated privacy is taken, which is within a few
percent there, and in which no digits are lost."""


@dataclass(frozen=True)
class Account:
    """What a training is worth as differential privacy of one sample.

    Parameters
    ----------
    epsilon
        None where there is none, for the reason that `why` gives.
    delta
        Of (epsilon, delta); None where nothing is sanitised.
    why
        In one sentence, what it rests on, or why there is none.
    reading
        Of what is clipped, see `Sanitizing`.
    steps
        Of the generator, which compose.
    rate
        q, with which a sample counts in a step.
    sensitivity
        By how much one sample may move what noise is added to, in one step (L2).
    deviation
        Of the noise on each value.
    """

    epsilon: float | None
    delta: float | None
    why: str
    reading: str | None = None
    steps: int = 0
    rate: float = 1.0
    sensitivity: float | None = None
    deviation: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Any, source: str = "account") -> Account:
        """Read it from plain data; raise `InputError` for what is none."""
        names = [field.name for field in fields(cls)]
        if not isinstance(document, Mapping) or set(document) != set(names):
            raise InputError.at(source, f"is {shown(document)}; it must have {', '.join(names)}")
        for name in ("epsilon", "delta", "sensitivity", "deviation"):
            value = document[name]
            if value is not None and not (is_finite(value) and value >= 0):
                raise InputError.at(
                    f"{source}.{name}", f"is {shown(value)}, it must be a number >= 0 or null"
                )
        if not (is_whole(document["steps"], 0) and is_finite(document["rate"])):
            raise InputError.at(source, "has steps or a rate that are no numbers")
        if not isinstance(document["why"], str) or not (
            document["reading"] is None or isinstance(document["reading"], str)
        ):
            raise InputError.at(source, "has a reason or a reading that is no text")
        return cls(**document)


def account_of(spec: NetworkSpec, options: GeneratorOptions, steps: int | None = None) -> Account:
    """Compute what a training with these options is worth.

    Parameters
    ----------
    spec
        The network, of whose parameters the reading ``value`` counts every one.
    options
        How it is trained.
    steps
        Of the generator that were taken; those of the options by default.
    """
    taken = options.steps if steps is None else steps
    own = options.sanitize
    if own is None:
        return Account(None, None, "no gradient was sanitised", steps=taken)
    rate = 1 / options.critics
    moved = sensitivity_of(spec, options, own)
    deviation = own.noise_multiplier * own.clip
    shared = (own.reading, taken, rate, moved, deviation)
    if deviation == 0:
        why = "gradients were clipped and no noise was added, which is no privacy"
        return Account(None, own.delta, why, *shared)
    if own.insecure_test_seed is not None:
        why = "noise was drawn from a seed for tests, by which anybody can take it away"
        return Account(None, own.delta, why, *shared)
    epsilon = epsilon_of_steps(moved / deviation, rate, taken, own.delta)
    return Account(epsilon, own.delta, _why(own, options, moved, taken), *shared)


def sensitivity_of(spec: NetworkSpec, options: GeneratorOptions, own: Sanitizing) -> float:
    """Return by how much one sample may move all values of a step that noise is added to.

    Two vectors within a ball of radius r are at most 2r apart. For ``"sample"`` the vectors are
    those of all samples of the batch together, whose norm is at most C sqrt(batch); for ``"value"``
    a vector of n values in [-C, C] has a norm of at most C sqrt(n).
    """
    count = {"batch": 1, "sample": options.batch, "value": work_of(spec).parameters}[own.reading]
    return 2 * own.clip * math.sqrt(count)


@lru_cache(maxsize=4096)
def epsilon_of_steps(shift: float, rate: float, steps: int, delta: float) -> float:
    """Return epsilon of so many Gaussian mechanisms.

    Parameters
    ----------
    shift
        m: the sensitivity of one, in standard deviations of its noise, above 0.
    rate
        q: with which probability a sample counts in one; 1 without amplification.
    steps, delta
        How many, and at which delta.
    """
    if steps == 0:
        return 0.0
    whole = _gaussian_epsilon(shift * math.sqrt(steps), delta)
    if rate >= 1:
        return whole
    found = min(
        _from_renyi(steps * amplified_renyi(order, shift, rate), order, delta) for order in _ORDERS
    )
    return max(0.0, min(whole, found, _by_counting(shift, rate, steps, delta)))


def _by_counting(shift: float, rate: float, steps: int, delta: float) -> float:
    """Bound epsilon by how often the one critic that saw a sample may be drawn."""
    from scipy.stats import binom

    most = int(binom.isf(delta / 2, steps, rate))
    return 0.0 if most <= 0 else _gaussian_epsilon(shift * math.sqrt(most), delta / 2)


def _gaussian_epsilon(shift: float, delta: float) -> float:
    """Return the least epsilon of one Gaussian mechanism, from above."""
    if shift > _FAR:  # Bun and Steinke (2016): rho + 2 sqrt(rho log(1/delta)), rho = m^2 / 2
        return shift**2 / 2 + shift * math.sqrt(2 * math.log(1 / delta))
    low = largest(lambda epsilon: float(gaussian_delta(epsilon, shift)) > delta)
    return low * (1 + 1e-12)  # `largest` ends next to the least one that is enough


def amplified_renyi(order: int, shift: float, rate: float) -> float:
    """Bound the Renyi divergence of a step in which one of 1/q critics is drawn.

    Wang, Balle and Kasiviswanathan (2019), Theorem 9, for a Gaussian mechanism, which has a
    divergence of order j of j m^2 / 2 and none of infinite order that is finite.

    Parameters
    ----------
    order
        A whole number >= 2.
    shift, rate
        As for `epsilon_of_steps`.
    """
    from scipy.special import gammaln, logsumexp

    plain = order * shift**2 / 2
    j = np.arange(2, order + 1, dtype=float)
    chosen = gammaln(order + 1) - gammaln(j + 1) - gammaln(order - j + 1)
    terms = j * math.log(rate) + chosen + math.log(2) + (j - 1) * j * shift**2 / 2
    second = shift**2  # the divergence of order 2
    if second < 1:  # min(4 (e^second - 1), 2 e^second) is the first one where second < log 2
        least = min(math.log(4 * math.expm1(second)), math.log(2) + second)
        terms[0] = 2 * math.log(rate) + chosen[0] + least
    with np.errstate(under="ignore"):  # terms that do not count
        bound = float(np.logaddexp(0.0, logsumexp(terms))) / (order - 1)
    return min(plain, bound)


def _from_renyi(divergence: float, order: int, delta: float) -> float:
    """Return an epsilon from a divergence (Canonne, Kamath and Steinke 2020, Proposition 12)."""
    room = math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)
    return divergence + room


def _why(own: Sanitizing, options: GeneratorOptions, moved: float, steps: int) -> str:
    what = {
        "batch": "the gradient of the generator (Eq. 4)",
        "sample": f"the gradients at the {options.batch} samples of a batch",
        "value": "every value of the gradient of the generator",
    }[own.reading]
    who = (
        "the one critic saw all samples, so that nothing amplifies"
        if options.critics == 1
        else f"one of {options.critics} critics on samples of their own is drawn in each"
    )
    return (
        f"{steps} steps, each a Gaussian mechanism on {what}, which one sample may move by "
        f"{moved:g}; {who}"
    )
