"""What users call to train generators and to judge them, without importing torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from splitopt.extras import need_torch
from splitopt.generators.options import GeneratorOptions

if TYPE_CHECKING:
    from torch import Tensor

    from splitopt.generators.membership import Membership
    from splitopt.generators.probe import Probe
    from splitopt.generators.trained import StepRow, TrainedGenerator

Path = str | os.PathLike[str]
_PURPOSE = "a generator of samples"


def train_generator(
    images: Tensor,
    labels: Tensor,
    *,
    classes: int,
    options: GeneratorOptions | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    resume: bool = False,
    callback: Callable[[StepRow, int], object] | None = None,
    every: int = 100,
) -> TrainedGenerator:
    """Train a conditional generator on labelled images (IoTSL Eq. 3, 6 and 7).

    Parameters
    ----------
    images
        Shape (n, channels, rows, columns), floating point, from 0 to 1: as
        `splitopt.training.data.sources.load_data` gives them.
    labels
        Shape (n,), whole numbers from 0 to `classes` - 1. Those that are there are what the
        generator makes; not all of the classes need be there.
    classes
        Of how many the labels are.
    options
        How it is trained; the defaults of `GeneratorOptions` for None.
    seed
        Of weights, batches and noise vectors, but not of the noise that makes gradients private.
    checkpoint
        A folder in which the training is kept every `every` steps, so that it can go on. Critics,
        which have seen the data, are in it: it is for nobody else.
    resume
        Go on from what is there. What then comes out is, byte for byte, what an uninterrupted run
        gives, but for noise that makes gradients private.
    callback
        Is called with the row of each step that is done, and the number of all steps.
    every
        Steps between two writes of the checkpoint.

    Returns
    -------
    The generator, with what it is worth as differential privacy and what happened.

    Raises
    ------
    InputError
        Images, labels or options that are none or do not fit each other, or a checkpoint that is
        none or of another run.
    InUseError
        Another run writes into the folder of the checkpoint.
    TrainingError
        The weights are not finite any more.
    CapabilityError
        PyTorch is not installed.
    """
    need_torch(_PURPOSE)
    from splitopt.generators.training import Keeping, trained

    given = options if options is not None else GeneratorOptions()
    keeping = Keeping(checkpoint, resume, every)
    return trained(images, labels, classes, given, seed, keeping, callback)


def load_generator(path: Path) -> TrainedGenerator:
    """Read a generator from the file that `TrainedGenerator.save` wrote.

    Raises
    ------
    InputError
        The file cannot be read, was changed, or holds other tensors than its network has, other
        labels than its classes, or weights that are not finite.
    CapabilityError
        PyTorch or safetensors is not installed.
    """
    need_torch(_PURPOSE)
    from splitopt.generators.files import loaded

    return loaded(path)


def train_probe(images: Tensor, labels: Tensor, classes: int, seed: int = 0) -> Probe:
    """Train a small network on real samples, to judge generated ones by.

    Parameters
    ----------
    images, labels, classes
        As for `train_generator`. A fifth of the samples of each class is set aside, on which the
        probe itself is tested.
    seed
        Of weights, batches and of what is set aside.

    Raises
    ------
    InputError
        Images or labels that are none, fewer than two classes, or a probe that is on the samples
        that are set aside no better than always saying their most frequent label: within two
        standard deviations of that.
    """
    need_torch(_PURPOSE)
    from splitopt.generators.probe import probed

    return probed(images, labels, classes, seed)


def quality_per_class(
    generator: TrainedGenerator, probe: Probe, samples: int = 200, seed: int = 0
) -> dict[int, float]:
    """Compute for each label the share of generated samples that a probe takes for that label.

    Parameters
    ----------
    generator
        What is judged.
    probe
        Of `train_probe`.
    samples
        Of each label.
    seed
        Of the samples.

    Returns
    -------
    Label -> share from 0 to 1, for the labels that the generator was trained on: the ``quality``
    that `GeneratorPairing` takes.

    Raises
    ------
    InputError
        The probe is of other images, or does not know a label.
    """
    need_torch(_PURPOSE)
    from splitopt.generators.probe import quality

    return quality(generator, probe, samples, seed)


def train_on_generated(
    generator: TrainedGenerator,
    images: Tensor,
    labels: Tensor,
    *,
    samples: int = 1000,
    seed: int = 0,
) -> float:
    """Train a classifier on generated samples alone and return its accuracy on real ones.

    Parameters
    ----------
    generator
        Of which `samples` are drawn in all, the same number of each label.
    images, labels
        Real samples to test on; those of labels that the generator does not make are left out.
    samples, seed
        How many are made, and the seed of these and of the classifier.

    Raises
    ------
    InputError
        Fewer than two labels, or no sample to test on.
    """
    need_torch(_PURPOSE)
    from splitopt.generators.probe import accuracy_from_generated

    return accuracy_from_generated(generator, images, labels, samples, seed)


def membership_of(
    generator: TrainedGenerator,
    members: tuple[Tensor, Tensor],
    others: tuple[Tensor, Tensor],
    *,
    samples: int = 2000,
) -> Membership:
    """Measure how well samples that a generator was trained on can be told from others.

    Parameters
    ----------
    generator
        As `train_generator` gave it, with its critics, or from a file, without.
    members, others
        Images and labels of samples that were trained on, and of others of the same kind:
        ``(images, labels)`` each.
    samples
        Generated samples to which distances are measured.

    Raises
    ------
    InputError
        No samples, or of other shapes.
    """
    need_torch(_PURPOSE)
    from splitopt.generators.membership import measured

    return measured(generator, members, others, samples)


def sample_grid(
    generator: TrainedGenerator, path: Path, *, columns: int = 10, seed: int = 0
) -> None:
    """Write a PNG picture with a row of samples for each label.

    Raises
    ------
    InputError
        The file cannot be written, or no columns.
    """
    need_torch(_PURPOSE)
    from splitopt.generators.grid import write_grid

    write_grid(generator, path, columns, seed)
