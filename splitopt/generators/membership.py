"""Whether samples that a generator was trained on can be told from others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from splitopt.documents.checks import check_whole
from splitopt.documents.taking import expect
from splitopt.errors import InputError
from splitopt.generators.trained import TrainedGenerator
from splitopt.generators.training import checked_samples
from splitopt.privacy.leakage.attacks.inference import auc

_SEED = 0


@dataclass(frozen=True)
class Membership:
    """Areas under the ROC curve of telling members from others; 0.5 is chance.

    Parameters
    ----------
    auc_by_distance
        By the distance to the nearest of the generated samples of the same label, which whoever
        has the generator can compute (Chen et al. 2020, "GAN-Leaks").
    auc_by_critic
        By the mean score of the critics, which only their device has; None where there are none,
        as in a file.
    members, others
        How many samples of each kind were looked at.
    """

    auc_by_distance: float
    auc_by_critic: float | None
    members: int
    others: int


def measured(
    generator: TrainedGenerator,
    members: tuple[Tensor, Tensor],
    others: tuple[Tensor, Tensor],
    samples: int,
) -> Membership:
    """Measure membership inference, see `splitopt.generators.membership_of`."""
    expect(generator, TrainedGenerator, "generator")
    check_whole("samples", samples, len(generator.labels), 10**7)
    parts = [
        _of_labels(generator, part, name)
        for name, part in (("members", members), ("others", others))
    ]
    images = torch.cat([part[0] for part in parts])
    labels = torch.cat([part[1] for part in parts])
    positive = torch.cat([torch.full((len(part[0]),), 1 - kind) for kind, part in enumerate(parts)])
    near = -_distances(generator, images, labels, samples)
    by_critic = None
    if generator.critics:
        with torch.no_grad():
            scores = [_scores(critic, images, labels) for critic in generator.critics]
        by_critic = auc(torch.stack(scores).mean(dim=0), positive)
    by_distance = auc(near, positive)
    assert by_distance is not None  # there are some of both kinds
    return Membership(by_distance, by_critic, len(parts[0][0]), len(parts[1][0]))


def _of_labels(
    generator: TrainedGenerator, part: tuple[Tensor, Tensor], name: str
) -> tuple[Tensor, Tensor]:
    """Return the samples whose labels the generator makes."""
    if not isinstance(part, tuple | list) or len(part) != 2:
        raise InputError.at(name, "must be images and labels, as a pair")
    try:
        images, labels = checked_samples(*part, generator.spec.classes)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if tuple(images.shape[1:]) != generator.spec.shape:
        words = " x ".join(map(str, generator.spec.shape))
        raise InputError.at(name, f"are other images than the generator makes, {words}")
    own = torch.isin(labels, torch.tensor(generator.labels))
    if not own.any():
        raise InputError.at(name, "have no sample of a label that the generator makes")
    return images[own], labels[own]


def _distances(generator: TrainedGenerator, images: Tensor, labels: Tensor, samples: int) -> Tensor:
    """Compute the distance of each image to the nearest generated one of its label."""
    found = torch.empty(len(images))
    each = samples // len(generator.labels)
    for label in torch.unique(labels).tolist():
        made = generator.sample(torch.full((each,), label), _SEED).flatten(1)
        rows = torch.nonzero(labels == label).flatten()
        for part in torch.split(rows, 1000):
            found[part] = torch.cdist(images[part].flatten(1), made).amin(dim=1)
    return found


def _scores(critic: torch.nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    training = critic.training
    critic.eval()
    pairs = zip(torch.split(images, 1000), torch.split(labels, 1000), strict=True)
    found = torch.cat([critic(part, own) for part, own in pairs])
    critic.train(training)
    return found
