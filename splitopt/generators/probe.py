"""How good generated samples are: by a network trained on real ones, and the other way round."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from splitopt.documents.checks import check_seed, check_whole
from splitopt.documents.taking import expect
from splitopt.errors import InputError
from splitopt.generators.trained import TrainedGenerator
from splitopt.generators.training import checked_samples
from splitopt.models.registry import build
from splitopt.training.data.batches import Batches
from splitopt.training.data.dataset import split_off_test
from splitopt.training.randomness import seed_of

STEPS = 600
"""Of a classifier at most, which are enough for small images and take seconds."""
_EPOCHS = 100
"""Of a classifier at most, which few samples come to before."""
_BATCH = 64
_DEVIATIONS = 2
"""Of a probe above chance, in those of as many guesses as it is tested by."""
_RATE = 1e-3


@dataclass(frozen=True, eq=False)
class Probe:
    """A classifier of real samples.

    Parameters
    ----------
    model
        Gives a score for each class.
    shape, classes, labels
        Of the samples that it was trained on.
    accuracy
        On the samples that were set aside.
    chance
        The same for always saying the most frequent label.
    """

    model: nn.Module
    shape: tuple[int, ...]
    classes: int
    labels: tuple[int, ...]
    accuracy: float
    chance: float


def probed(images: Tensor, labels: Tensor, classes: int, seed: int) -> Probe:
    """Train a probe, see `splitopt.generators.train_probe`."""
    check_seed(seed)
    images, labels = checked_samples(images, labels, classes)
    if len(torch.unique(labels)) < 2:
        raise InputError.at(
            "labels", "are all the same; a probe needs samples of two labels or more to tell apart"
        )
    train, targets, test, test_targets = split_off_test(images, labels, seed, "images")
    assert isinstance(train, Tensor)
    assert isinstance(test, Tensor)
    model = _classifier(train, targets, classes, seed)
    accuracy = _accuracy(model, test, test_targets)
    chance = float(torch.bincount(test_targets).max()) / len(test_targets)
    luck = _DEVIATIONS * math.sqrt(chance * (1 - chance) / len(test_targets))
    if accuracy <= chance + luck:
        raise InputError.at(
            "images",
            f"give a probe that is right on {accuracy:.3f} of the {len(test_targets)} samples set "
            f"aside; always saying the most frequent label is right on {chance:.3f}, give or take "
            f"{luck:.3f}, so that it can judge nothing; give more samples, or other labels",
        )
    known = tuple(torch.unique(labels).tolist())
    return Probe(model, tuple(images.shape[1:]), classes, known, accuracy, chance)


def quality(generator: TrainedGenerator, probe: Probe, samples: int, seed: int) -> dict[int, float]:
    """Judge a generator by a probe, see `splitopt.generators.quality_per_class`."""
    expect(generator, TrainedGenerator, "generator")
    expect(probe, Probe, "probe", "train_probe makes one")
    check_whole("samples", samples, 1, 10**7)
    _same_shape(probe.shape, generator, "probe")
    found = {}
    for label in generator.labels:
        if label not in probe.labels:
            raise InputError.at(
                "probe",
                f"was trained without samples of the label {label}, which the generator makes; "
                "train it with some",
            )
        targets = torch.full((samples,), label)
        found[label] = _accuracy(probe.model, generator.sample(targets, seed), targets)
    return found


def accuracy_from_generated(
    generator: TrainedGenerator, images: Tensor, labels: Tensor, samples: int, seed: int
) -> float:
    """Train on generated and test on real ones, see `splitopt.generators.train_on_generated`."""
    expect(generator, TrainedGenerator, "generator")
    check_whole("samples", samples, 1, 10**7)
    images, labels = checked_samples(images, labels, generator.spec.classes)
    _same_shape(tuple(images.shape[1:]), generator, "images")
    if len(generator.labels) < 2:
        raise InputError.at("generator", "makes one label alone; two or more can be told apart")
    own = torch.tensor(generator.labels)
    tested = torch.isin(labels, own)
    if not tested.any():
        raise InputError.at("labels", "have none that the generator makes, so nothing is tested")
    made = own.repeat(-(-samples // len(own)))[:samples]
    model = _classifier(generator.sample(made, seed), made, generator.spec.classes, seed)
    return _accuracy(model, images[tested], labels[tested])


def accuracy_from_real(
    train: Tensor, targets: Tensor, test: Tensor, test_targets: Tensor, classes: int, seed: int
) -> float:
    """Train the same classifier on given samples, and return its accuracy on others."""
    train, targets = checked_samples(train, targets, classes)
    test, test_targets = checked_samples(test, test_targets, classes)
    return _accuracy(_classifier(train, targets, classes, seed), test, test_targets)


def _classifier(images: Tensor, labels: Tensor, classes: int, seed: int) -> nn.Module:
    """Train the shipped network `cnn`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, 10))
        model: nn.Module = build("cnn", tuple(images.shape[1:]), classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=_RATE)
    batches = Batches(images, labels, _BATCH, seed_of(seed, 11))
    for inputs, targets in batches.take(min(STEPS, _EPOCHS * batches.per_epoch)):
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model.eval()


def _accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    right = 0
    with torch.no_grad():
        for part, targets in zip(torch.split(images, 1000), torch.split(labels, 1000), strict=True):
            right += int((model(part).argmax(dim=1) == targets).sum())
    return right / len(labels)


def _same_shape(shape: tuple[int, ...], generator: TrainedGenerator, what: str) -> None:
    if shape != generator.spec.shape:
        own, other = (" x ".join(map(str, one)) for one in (shape, generator.spec.shape))
        raise InputError.at(
            what, f"is of images of {own}, and the generator makes {other}; take the same data"
        )
