"""From images and labels to a generator, step by step, with a checkpoint now and then."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splitopt.documents.checks import check_seed, check_whole
from splitopt.documents.taking import expect, path_of
from splitopt.errors import InputError
from splitopt.generators.accounting import account_of
from splitopt.generators.options import GeneratorOptions
from splitopt.generators.sealed import read_sealed, write_sealed
from splitopt.generators.spec import NetworkSpec
from splitopt.generators.state import Training
from splitopt.generators.trained import StepRow, TrainedGenerator
from splitopt.storage.locks import Lock
from splitopt.storage.outputs import cannot_write
from splitopt.training.data.dataset import as_array
from splitopt.training.saving.checkpoint import expect_same_run

FORMAT = "splitopt-generator-checkpoint"
FILE = "generator-checkpoint.safetensors"
MOST_BYTES = 2**36
_HISTORY = "history"


@dataclass(frozen=True)
class Keeping:
    """Where a training is kept, every how many steps, and whether to go on from there."""

    folder: str | os.PathLike[str] | None = None
    resume: bool = False
    every: int = 100

    def __post_init__(self) -> None:
        check_whole("every", self.every, 1)
        if self.folder is not None:
            path_of(self.folder, "checkpoint")
        elif self.resume:
            raise InputError.at("resume", "needs a checkpoint, the folder to go on from")


def trained(
    images: Tensor,
    labels: Tensor,
    classes: int,
    options: GeneratorOptions,
    seed: int,
    keeping: Keeping,
    callback: Callable[[StepRow, int], object] | None,
) -> TrainedGenerator:
    """Train a generator, see `splitopt.generators.train_generator`."""
    expect(options, GeneratorOptions, "options")
    check_seed(seed)
    images, labels = checked_samples(images, labels, classes)
    if len(images) < options.critics:
        raise InputError.at(
            "critics",
            f"are {options.critics}, and there are {len(images)} samples to divide among them; "
            "take fewer",
        )
    channels, rows, columns = images.shape[1:]
    spec = NetworkSpec(options.network, (channels, rows, columns), classes, options.noise)
    training = Training(spec, images, labels, options, seed)
    identity = _identity(spec, options, seed, images, labels)
    with ExitStack() as stack:
        keeper = None
        if keeping.folder is not None:
            folder = Path(keeping.folder)
            keeper = stack.enter_context(_Keeper(folder, identity, training, keeping.resume))
        history = keeper.history if keeper is not None else []
        while training.steps < options.steps:
            history.append(training.step())
            done = training.steps == options.steps
            if keeper is not None and (done or training.steps % keeping.every == 0):
                keeper.keep()
            if callback is not None:
                callback(history[-1], options.steps)
    return TrainedGenerator(
        spec,
        tuple(training.labels.tolist()),
        training.network,
        account_of(spec, options),
        training.steps,
        history=tuple(history),
        critics=tuple(training.critics),
    )


def checked_samples(images: Any, labels: Any, classes: Any) -> tuple[Tensor, Tensor]:
    """Return images as float32 and labels as int64, or raise `InputError` for what is none."""
    check_whole("classes", classes, 2)
    expect(images, Tensor, "images")
    expect(labels, Tensor, "labels")
    if images.dim() != 4 or not len(images) or not images.is_floating_point():
        raise InputError.at(
            "images",
            f"are {images.dtype} of shape {tuple(images.shape)}; give floating-point numbers of "
            "shape (n, channels, rows, columns), n >= 1".replace("torch.", ""),
        )
    if labels.shape != images.shape[:1] or labels.is_floating_point() or labels.is_complex():
        raise InputError.at(
            "labels",
            f"have shape {tuple(labels.shape)}; give {len(images)} whole numbers, one for each "
            "image",
        )
    own = images.detach().cpu().to(torch.float32)
    low, high = float(own.min()), float(own.max())
    if not (low >= 0 and high <= 1):  # also where one is NaN
        raise InputError.at(
            "images",
            f"have values from {low:g} to {high:g}; scale them to 0..1, as load_data gives them",
        )
    whole = labels.detach().cpu().long()
    least, most = int(whole.min()), int(whole.max())
    if least < 0 or most >= classes:
        raise InputError.at(
            "labels",
            f"have {least if least < 0 else most}, outside the classes 0 to {classes - 1}",
        )
    return own, whole


def _identity(
    spec: NetworkSpec, options: GeneratorOptions, seed: int, images: Tensor, labels: Tensor
) -> dict[str, Any]:
    """Return what makes a training another one; how long it is does not."""
    own = options.identity()
    del own["steps"]
    mark = hashlib.sha256()
    for tensor in (images, labels):
        mark.update(as_array(tensor).data)
    return {"spec": spec.to_dict(), "options": own, "seed": seed, "data": mark.hexdigest()}


class _Keeper:
    """Keeps a training in a folder, for one run at a time."""

    def __init__(
        self, folder: Path, identity: dict[str, Any], training: Training, resume: bool
    ) -> None:
        self._path, self._identity, self._training = folder / FILE, identity, training
        self.history: list[StepRow] = []
        if resume and not self._path.exists():
            raise InputError(f"{folder}: there is no checkpoint; name its folder, or begin anew")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(folder)
        except OSError as error:
            raise cannot_write(folder, error, "made a folder of checkpoints") from None
        try:
            if resume:
                self._load(folder)
            elif self._path.exists():
                raise InputError(
                    f"{folder}: holds a checkpoint already; resume it, or take another folder"
                )
        except BaseException:
            self._lock.release()
            raise

    def _load(self, folder: Path) -> None:
        state, document = read_sealed(self._path, FORMAT, MOST_BYTES)
        expect_same_run(document, self._identity, str(folder))
        rows = state.pop(_HISTORY, None)
        self._training.load_state_dict(state, str(folder))
        steps, most = self._training.steps, self._training.options.steps
        if rows is None or rows.shape != (steps, 2):
            raise InputError(f"{folder}: the checkpoint has no history of its {steps} steps")
        if steps > most:
            raise InputError.at(
                "steps", f"are {most}, and the checkpoint in {folder} has {steps}; ask for more"
            )
        self.history += [StepRow(number, *row) for number, row in enumerate(rows.tolist(), 1)]

    def keep(self) -> None:
        """Write the training as it is now, in place of what is there."""
        rows = [(row.distance, row.gradient_norm) for row in self.history]
        state = self._training.state_dict()
        state[_HISTORY] = torch.tensor(rows, dtype=torch.float64).reshape(-1, 2)
        write_sealed(self._path, state, {"identity": self._identity}, FORMAT)

    def __enter__(self) -> _Keeper:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
