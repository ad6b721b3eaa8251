"""All that is measured of a generator that was trained: how good it is, and what it tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from splitopt.generators.membership import Membership, measured
from splitopt.generators.probe import Probe, accuracy_from_generated, accuracy_from_real, quality
from splitopt.generators.trained import TrainedGenerator

MOST_SAMPLES = 2000
"""Real samples of each kind that membership inference looks at."""

Samples = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What was measured of a generator.

    Parameters
    ----------
    generator
        With its quality per class.
    probe_accuracy, chance
        Of the probe on real samples that were set aside, and of always saying the most frequent
        label.
    from_generated, from_real
        Accuracy on test samples of one and the same classifier, trained on as many generated
        samples as there are real ones and on these; None with a single label.
    membership
        How well members are told from others.
    """

    generator: TrainedGenerator
    probe_accuracy: float
    chance: float
    from_generated: float | None
    from_real: float | None
    membership: Membership

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            **self.generator.metadata(),
            "probe_accuracy": self.probe_accuracy,
            "chance": self.chance,
            "from_generated": self.from_generated,
            "from_real": self.from_real,
            "membership": asdict(self.membership),
        }


def judged(
    generator: TrainedGenerator, probe: Probe, train: Samples, test: Samples, seed: int = 0
) -> Judgement:
    """Measure quality per class, training on generated samples, and membership inference.

    Parameters
    ----------
    generator
        As it was trained.
    probe
        Of `splitopt.generators.train_probe`.
    train, test
        Images and labels that it was trained on, and others; labels that it does not make are left
        out.
    seed
        Of generated samples and of the classifier.

    Raises
    ------
    InputError
        The probe or the samples are of others than it makes.
    """
    found = generator.with_quality(quality(generator, probe, 200, seed))
    own = torch.tensor(generator.labels)
    train = _chosen(train, torch.isin(train[1], own))
    test = _chosen(test, torch.isin(test[1], own))
    membership = measured(found, _first(train), _first(test), MOST_SAMPLES)
    generated = real = None
    if len(generator.labels) > 1:
        generated = accuracy_from_generated(found, *test, len(train[0]), seed)
        real = accuracy_from_real(*train, *test, generator.spec.classes, seed)
    return Judgement(found, probe.accuracy, probe.chance, generated, real, membership)


def _chosen(samples: Samples, rows: Tensor) -> Samples:
    return samples[0][rows], samples[1][rows]


def _first(samples: Samples) -> Samples:
    """Return the first samples, at most `MOST_SAMPLES`."""
    return samples[0][:MOST_SAMPLES], samples[1][:MOST_SAMPLES]
