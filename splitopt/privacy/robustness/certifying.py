"""From a model with a noise layer and labelled inputs to certificates, and attacks on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from splitopt.privacy.robustness.attacks import fgsm, pgd
from splitopt.privacy.robustness.certificates import certified_strengths
from splitopt.privacy.robustness.empirical import empirical_sensitivity
from splitopt.privacy.robustness.intervals import clopper_pearson, error_of_each, hoeffding
from splitopt.privacy.robustness.settings import RobustnessSettings, Scores
from splitopt.privacy.robustness.table import RadiusRow, RobustnessTable
from splitopt.training.privacy.pixel.noise import NoisyPart

Progress = Callable[[str], object]
_AT_ONCE = 4096
"""Samples in one forward pass."""


class Certificates(NamedTuple):
    """The predicted class of each input, and the norm up to which no change turns it."""

    predicted: NDArray[np.int64]
    radii: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Certifier:
    """A model with noise, and how its expected scores are found.

    Parameters
    ----------
    layer
        The whole model with noise in it.
    settings
        How many draws, which scores, which confidence.
    """

    layer: NoisyPart
    settings: RobustnessSettings

    def sums(self, inputs: Tensor, draws: int) -> Tensor:
        """Return the sum of the scores of each class over noise draws, shape (n, classes)."""
        return expected_sums(self.layer, inputs, draws, self.settings.scores)

    def predict(self, inputs: Tensor) -> NDArray[np.int64]:
        """Return the class of the largest expected score of each input."""
        return np.asarray(self.sums(inputs, self.settings.draws).argmax(dim=1).cpu().numpy())

    def certify(self, inputs: Tensor) -> Certificates:
        """Certify predictions by Lemma 1; see `splitopt.privacy.robustness.certificates`.

        The sensitivity is that of the weights as they are.
        """
        own, pixel = self.settings, self.layer.settings
        sums = self.sums(inputs, own.draws).double().cpu().numpy()
        together = len(inputs) if own.simultaneous else 1
        error = error_of_each(own.confidence, sums.shape[1], together)
        if own.scores == "votes":
            lower, upper = clopper_pearson(sums, own.draws, error)
        else:
            lower, upper = hoeffding(sums / own.draws, own.draws, error)
        predicted = sums.argmax(axis=1)
        rows = np.arange(len(sums))
        others = upper.copy()
        others[rows, predicted] = -np.inf
        strengths = certified_strengths(
            lower[rows, predicted], others.max(axis=1), pixel.mechanism, own.accounting, pixel.delta
        )
        return Certificates(predicted, strengths * self.layer.scale() / self.sensitivity())

    def sensitivity(self) -> float:
        """Return the proved sensitivity of the weights as they are."""
        return self.layer.bounds().value()


def expected_sums(layer: NoisyPart, inputs: Tensor, draws: int, scores: Scores) -> Tensor:
    """Return the sum of the scores of each class over independent noise draws.

    Parameters
    ----------
    layer
        A whole model with noise, in evaluation mode.
    inputs
        Shape (n, ...).
    draws
        How many.
    scores
        ``"votes"`` or ``"probabilities"``.
    """
    many = max(1, _AT_ONCE // max(1, len(inputs)))
    total: Tensor | None = None
    with torch.no_grad():
        for first in range(0, draws, many):
            count = min(many, draws - first)
            repeated = inputs.repeat(count, *[1] * (inputs.dim() - 1))
            found = torch.cat(
                [_scores(layer, some, scores) for some in torch.split(repeated, _AT_ONCE)]
            )
            summed = found.reshape(count, len(inputs), -1).sum(dim=0)
            total = summed if total is None else total + summed
    assert total is not None
    return total


def _scores(layer: NoisyPart, inputs: Tensor, scores: Scores) -> Tensor:
    outputs: Tensor = layer(inputs)
    if scores == "probabilities":
        return outputs.double().softmax(dim=1)
    return torch.nn.functional.one_hot(outputs.argmax(dim=1), outputs.shape[1]).double()


def certified_table(
    layer: NoisyPart,
    inputs: Tensor,
    targets: Tensor,
    settings: RobustnessSettings,
    model: str = "model",
    data: str = "data",
    progress: Progress | None = None,
) -> RobustnessTable:
    """Certify inputs, attack them, and count by radius.

    Parameters
    ----------
    layer
        The whole model with noise in it, in evaluation mode.
    inputs, targets
        Shape (n, ...) and the classes, shape (n,).
    settings
        See `splitopt.privacy.robustness.settings.RobustnessSettings`.
    model, data
        What they are called.
    progress
        Called with what is done next.
    """
    tell = progress or (lambda _: None)
    certifier, norm = Certifier(layer, settings), layer.settings.norm
    tell("certificates")
    predicted, radii = certifier.certify(inputs)
    classes = targets.cpu().numpy()
    right = predicted == classes
    attacked = torch.from_numpy(predicted).to(targets.device)
    rows = []
    for radius in settings.radii or tuple(layer.settings.radius * k for k in (0.5, 1.0, 2.0)):
        holds = (radii >= radius) & (radii > 0)
        row = RadiusRow(radius, float((right & holds).mean()))
        if settings.attack_steps:
            tell(f"attacks within {radius:g}")
            draws = settings.attack_draws
            one = certifier.predict(fgsm(layer, inputs, attacked, radius, norm, draws))
            steps = settings.attack_steps
            many = certifier.predict(pgd(layer, inputs, attacked, radius, norm, steps, draws))
            row = RadiusRow(
                radius,
                row.certified,
                float((right & (one == predicted)).mean()),
                float((right & (many == predicted)).mean()),
                int((holds & (many != predicted)).sum()),
            )
        rows.append(row)
    with torch.no_grad():
        before = layer.before(inputs)
        layer.is_on = False
        plain = layer(inputs).argmax(dim=1)
        layer.is_on = True
    return RobustnessTable(
        model=model,
        data=data,
        inputs=len(inputs),
        clean=float(right.mean()),
        without_noise=float((plain == targets).double().mean()),
        rows=tuple(rows),
        radii=tuple(map(float, radii)),
        right=tuple(map(bool, right)),
        noise=layer.scale(),
        sensitivity=certifier.sensitivity(),
        empirical=empirical_sensitivity(inputs, before, norm),
        settings=settings.to_dict(),
        pixel_dp=layer.settings.identity(),
    )
