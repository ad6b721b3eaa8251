"""``splitopt generate``: train a generator of samples on data, and say what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from splitopt.cli import options as shared
from splitopt.cli.flags import with_flags
from splitopt.cli.generator_options import KeepingFlags, NetworkFlags, SanitizeFlags, labels_of
from splitopt.errors import InputError
from splitopt.generators.options import GeneratorOptions

if TYPE_CHECKING:
    from torch import Tensor

    from splitopt.generators.judging import Judgement
    from splitopt.generators.trained import StepRow
    from splitopt.training.data.dataset import DataSet


@dataclass(frozen=True)
class OutputFlags:
    """The files to write, None for those that are not wanted."""

    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.safetensors", help="Write the generator."),
    ] = None
    grid: Annotated[
        Path | None,
        typer.Option("--grid", metavar="FILE.png", help="Draw samples, a row for each label."),
    ] = None
    report: shared.PageFile = None

    def check(self, data: str) -> None:
        """Reject, before any work, what cannot be written."""
        shared.check_outputs(Path(data), self.output, self.grid, self.report)
        if self.grid is not None and self.grid.suffix.lower() != ".png":
            raise InputError(f"{self.grid}: is no picture that is written here; name it .png")


@with_flags
def command(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="digits, mnist, fashion-mnist, cifar10, celeba, NAME:FOLDER or an .npz file, as "
            "for train --data.",
        ),
    ],
    network: NetworkFlags,
    sanitize: SanitizeFlags,
    keeping: KeepingFlags,
    outputs: OutputFlags,
    classes: Annotated[
        str | None,
        typer.Option("--classes", metavar="A,B,...", help="Labels to train on; else all."),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", metavar="N", min=1, help="Train on the first N; else on all."),
    ] = None,
    seed: shared.Seed = 0,
    as_json: shared.AsJson = False,
) -> int:
    """Train a generator of samples on images with labels, as devices do in IoTSL.

    It prints what a step takes, epsilon beside what membership inference tells, and the quality of
    the samples of each label by a probe that is trained on the real ones.

    Example: splitopt generate digits --classes 0,1,2 --steps 500 -o zero-to-two.safetensors
    """
    from splitopt.extras import need_torch

    labels = labels_of(classes)
    options = network.options(sanitize.sanitizing())
    keeping.check()
    outputs.check(data)
    need_torch("'splitopt generate'")
    judgement = _trained(data, labels, samples, options, keeping, outputs, seed, as_json)
    if outputs.output is not None:
        judgement.generator.save(outputs.output)
    _draw(judgement, options, data, outputs)
    if as_json:
        shared.print_json(judgement.to_dict())
    else:
        from splitopt.report.generated import generator_to_terminal

        shared.console().print(generator_to_terminal(judgement, options, data))
    return 0


def _trained(
    data: str,
    labels: Sequence[int] | None,
    samples: int | None,
    options: GeneratorOptions,
    keeping: KeepingFlags,
    outputs: OutputFlags,
    seed: int,
    silent: bool,
) -> Judgement:
    """Train the probe, which may refuse the data, then the generator, and judge that."""
    from splitopt.generators import train_generator, train_probe
    from splitopt.generators.judging import judged
    from splitopt.training.data.sources import load_data

    read = load_data(data, seed=seed)
    train, test = _parts(read, labels, samples)
    assert read.classes is not None  # labels always have a number of classes
    _check_fits(train[0], read.classes, options)
    probe = train_probe(*_images(read, True), read.classes, seed)
    with _progress(silent) as callback:
        generator = train_generator(
            *train,
            classes=read.classes,
            options=options,
            seed=seed,
            checkpoint=keeping.checkpoint,
            resume=keeping.resume,
            callback=callback,
            every=keeping.checkpoint_every,
        )
    if outputs.output is not None:  # before it is judged, since it took a while
        generator.save(outputs.output)
    return judged(generator, probe, train, test, seed)


def _check_fits(images: Tensor, classes: int, options: GeneratorOptions) -> None:
    """Reject, before the probe takes its time, images that the network does not make."""
    from splitopt.generators.spec import NetworkSpec

    if images.dim() == 4:  # others are refused with their samples
        channels, rows, columns = images.shape[1:]
        NetworkSpec(options.network, (channels, rows, columns), classes, options.noise)


def _images(read: DataSet, training: bool) -> tuple[Tensor, Tensor]:
    """Return images and labels of one part of the data."""
    from torch import Tensor

    inputs = read.train_inputs if training else read.test_inputs
    if not isinstance(inputs, Tensor) or read.classes is None:
        raise InputError.at(read.name, "holds several inputs, or no labels; give labelled images")
    return inputs, read.train_targets if training else read.test_targets


def _parts(
    read: DataSet, labels: Sequence[int] | None, samples: int | None
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return what is trained on and what is tested on, of the labels that are wanted."""
    import torch

    train, test = _images(read, True), _images(read, False)
    if labels is not None:
        there = set(train[1].tolist())
        for label in labels:
            if label not in there:
                raise InputError.at(
                    "--classes", f"names {label}, of which {read.name} has no sample to train on"
                )
        own = torch.tensor(labels)
        train, test = (
            (part[0][rows], part[1][rows])
            for part in (train, test)
            for rows in [torch.isin(part[1], own)]
        )
        if not len(test[1]):
            raise InputError.at(
                "--classes", f"names labels of which {read.name} has no sample to test with"
            )
    return (train[0][:samples], train[1][:samples]), test


def _draw(judgement: Judgement, options: GeneratorOptions, data: str, outputs: OutputFlags) -> None:
    """Write the picture and the page."""
    if outputs.grid is None and outputs.report is None:
        return
    from splitopt.generators.grid import png_of
    from splitopt.report.generated import generator_to_html
    from splitopt.storage.writing import write_atomic

    picture = png_of(judgement.generator)
    if outputs.grid is not None:
        write_atomic(outputs.grid, picture)
    if outputs.report is not None:
        write_atomic(outputs.report, generator_to_html(judgement, options, data, picture))


@contextmanager
def _progress(silent: bool) -> Iterator[Callable[[StepRow, int], object] | None]:
    """Show which step is done and how far real and generated samples are apart."""
    with shared.telling("training a generator", silent) as tell:
        if tell is None:
            yield None
            return
        yield lambda row, steps: tell(
            f"step {row.step} of {steps}: distance {row.distance:.3f}, gradient norm "
            f"{row.gradient_norm:.3f}"
        )
