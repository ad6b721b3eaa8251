"""What a device does: train its generator, tell of its labels, and make samples that it lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from splitopt.errors import InputError, shown
from splitopt.generators import (
    GeneratorOptions,
    Sanitizing,
    TrainedGenerator,
    load_generator,
    quality_per_class,
    train_generator,
    train_probe,
)
from splitopt.generators.training import FILE
from splitopt.iotsl.histograms import noised
from splitopt.iotsl.shares import Counts, histogram
from splitopt.training.data.named import Inputs
from splitopt.training.turns import seed_of

_GENERATOR, _PROBE, _NOISE, _SAMPLES = range(1, 5)
"""What a seed of a device is for."""


class Samples(NamedTuple):
    """Images of shape (n, ...), and their classes, shape (n,)."""

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Learning:
    """What a device is to learn.

    Parameters
    ----------
    classes
        How many there are in all data.
    generators
        The networks, and how they are trained.
    histogram_epsilon
        Of the counts that it tells; None for no noise.
    seed
        Of the whole run.
    labels
        The classes that its generator is trained on, none for no generator; None for all that the
        device has.
    """

    classes: int
    generators: GeneratorOptions
    histogram_epsilon: float | None
    seed: int
    labels: tuple[int, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "classes": self.classes,
            "generators": {**asdict(self.generators), "betas": list(self.generators.betas)},
            "histogram_epsilon": self.histogram_epsilon,
            "seed": self.seed,
            "labels": None if self.labels is None else list(self.labels),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Learning:
        """Read what `to_dict` wrote for a process of this machine."""
        labels = document["labels"]
        return cls(
            document["classes"],
            _options(document["generators"]),
            document["histogram_epsilon"],
            document["seed"],
            None if labels is None else tuple(labels),
        )

    @property
    def judges(self) -> bool:
        """Whether the device judges its generator: a quality tells of its data, without noise."""
        return self.generators.sanitize is None and self.histogram_epsilon is None

    def taught(self, own: Samples) -> Samples | None:
        """Return what of a device's data its generator is trained on, None for no generator."""
        if self.labels is None:
            return own
        rows = torch.isin(own.targets, torch.tensor(self.labels, dtype=own.targets.dtype))
        return Samples(own.inputs[rows], own.targets[rows]) if bool(rows.any()) else None


@dataclass(frozen=True, eq=False)
class Told:
    """What a device tells the server.

    Parameters
    ----------
    counts
        Shape (C,): its samples of each class, with noise if it is to have some.
    quality
        Shape (C,): of its generator's samples by class, from 0 to 1; 0 for classes it lacks, 1
        where it cannot be judged.
    """

    counts: Counts
    quality: np.ndarray[Any, np.dtype[np.float64]]

    def tensors(self) -> dict[str, Tensor]:
        """Return it as it travels: 8 bytes and 4 bytes for each class."""
        return {
            "counts": torch.from_numpy(self.counts.astype(np.int64)),
            "quality": torch.from_numpy(self.quality.astype(np.float32)),
        }


@dataclass(frozen=True)
class Order:
    """What a device is to make of a generator that it receives.

    Parameters
    ----------
    sender
        Whose generator it is.
    amounts
        How many samples of each class, by its number.
    """

    sender: str
    amounts: Mapping[int, int]

    def labels(self) -> Tensor:
        """Shape (n,): the class of each sample, by class."""
        rows = [torch.full((count,), label) for label, count in sorted(self.amounts.items())]
        return torch.cat(rows) if rows else torch.empty(0, dtype=torch.int64)


def learn(
    own: Samples,
    number: int,
    learning: Learning,
    path: Path,
    callback: Callable[..., object] | None = None,
) -> tuple[TrainedGenerator | None, Told]:
    """Train a device's generator, or go on with the training that has begun.

    Parameters
    ----------
    own
        The device's data.
    number
        Of the device, from 0.
    learning
        What to learn.
    path
        The file of the generator; a folder beside it keeps the state meanwhile.
    callback
        As for `train_generator`.

    Returns
    -------
    The generator, which is in the file as well, if there is to be one; and what the device tells.
    """
    classes, taught = learning.classes, learning.taught(own)
    counts = noised(
        histogram(own.targets, classes),
        learning.histogram_epsilon,
        seed_of(learning.seed, number, _NOISE),
    )
    if taught is None:
        return None, Told(counts, np.zeros(classes))
    if path.exists():
        generator = load_generator(path)
        expect_generator(generator, learning, sorted(set(taught.targets.tolist())), str(path))
    else:
        checkpoint = path.with_suffix(".training")
        generator = train_generator(
            taught.inputs,
            taught.targets,
            classes=classes,
            options=learning.generators,
            seed=seed_of(learning.seed, number, _GENERATOR),
            checkpoint=checkpoint,
            resume=(checkpoint / FILE).exists(),
            callback=callback,
        )
        quality = quality_of(generator, taught, learning, number)
        if quality is not None:
            generator = generator.with_quality(quality)
        generator.save(path)
    found = np.zeros(classes)
    for label in generator.labels:
        found[label] = 1.0 if generator.quality is None else generator.quality[label]
    return generator, Told(counts, found)


def expect_generator(
    generator: TrainedGenerator, learning: Learning, labels: Sequence[int] | None, source: str
) -> None:
    """Raise `InputError` for a generator of another network, or of other classes.

    Parameters
    ----------
    generator
        As it was read, or as it came.
    learning
        What the device was to learn.
    labels
        The classes that it was to be trained on; None where only their number is known.
    source
        How messages call it.
    """
    spec, options = generator.spec, learning.generators
    if spec.classes != learning.classes or (
        labels is not None and set(generator.labels) != set(labels)
    ):
        raise InputError(
            f"{source}: is of another label set: it makes {shown(list(generator.labels))} of "
            f"{spec.classes} classes, and the device has {shown(labels or [])} of "
            f"{learning.classes}; take another folder"
        )
    if (spec.network, spec.noise) != (options.network, options.noise):
        raise InputError(
            f"{source}: is of the network {spec.network} with {spec.noise} values of noise, and "
            f"{options.network} with {options.noise} is asked for; take another folder"
        )


def quality_of(
    generator: TrainedGenerator, own: Samples, learning: Learning, number: int
) -> dict[int, float] | None:
    """Return what a probe of the device's own data makes of the generator's samples.

    For each class it is the share of samples that the probe takes for that class, among those of
    the device. None where nothing can be judged: with one class, or too few samples for a probe
    that is better than chance; and where the device is to tell nothing without noise. Such a
    generator counts as one of quality 1, as where none is known.
    """
    if len(generator.labels) == 1 or not learning.judges:
        return None
    seed = seed_of(learning.seed, number, _PROBE)
    try:
        probe = train_probe(own.inputs, own.targets, learning.classes, seed)
    except InputError:
        return None
    return quality_per_class(generator, probe, seed=seed)


def imputed(
    own: Samples, received: Sequence[tuple[TrainedGenerator, Order]], number: int, seed: int
) -> Samples:
    """Return a device's data with samples of what it lacks behind its own.

    Parameters
    ----------
    own
        The device's data.
    received
        The generators, each with what is to be made of it.
    number
        Of the device, from 0.
    seed
        Of the whole run.
    """
    inputs, targets = [own.inputs], [own.targets]
    for place, (generator, order) in enumerate(received):
        made = generated(generator, order.labels(), seed_of(seed, number, _SAMPLES, place))
        inputs.append(made.inputs.to(own.inputs.dtype))
        targets.append(made.targets)
    return Samples(torch.cat(inputs), torch.cat(targets))


def generated(generator: TrainedGenerator, labels: Tensor, seed: int) -> Samples:
    """Return a sample of a generator for each label."""
    return Samples(generator.sample(labels, seed), labels)


def _options(document: Mapping[str, Any]) -> GeneratorOptions:
    own = document["sanitize"]
    return GeneratorOptions(**{**document, "sanitize": None if own is None else Sanitizing(**own)})


def images_of(inputs: Inputs, name: str) -> Tensor:
    """Return inputs that are images, shape (n, channels, rows, columns).

    Raises
    ------
    InputError
        They are none, which no generator here makes.
    """
    if isinstance(inputs, Tensor) and inputs.dim() == 4:
        return inputs
    raise InputError.at(
        "data",
        f"{name} has no images of (channels, rows, columns), which is what generators make; take "
        "others, such as digits",
    )
