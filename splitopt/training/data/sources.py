"""What may be given as data, and how it is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from splitopt.errors import InputError, shown
from splitopt.training.data.arrays import from_arrays, from_torch, read_npz
from splitopt.training.data.dataset import DataSet
from splitopt.training.data.known import KNOWN, load_digits
from splitopt.training.data.text import NAME as TEXT
from splitopt.training.data.text import load_text
from splitopt.training.tasks.collating import Collate
from splitopt.training.tasks.targets import LABELS, Targets

Source = str | os.PathLike[str] | DataSet | Dataset[Any] | Sequence[Any]


def load_data(
    source: Source, *, seed: int = 0, targets: Targets = LABELS, collate: Collate | None = None
) -> DataSet:
    """Load data to train on.

    Parameters
    ----------
    source
        ``"digits"`` (comes with scikit-learn), ``"mnist"``, ``"fashion-mnist"``, ``"cifar10"``
        or ``"celeba"`` (found in standard places), ``"NAME:FOLDER"`` for one of these in a folder,
        the path of a ``.npz`` file or of a folder with one of them, ``"text"`` (see
        `splitopt.training.data.text.load_text`), a `DataSet`, arrays ``(x, y)`` or
        ``(x_train, y_train, x_test, y_test)``, a PyTorch data set, or a pair of them.
    seed
        Of the samples that are set aside for testing where there is no test set.
    targets
        What the targets are, see `splitopt.training.tasks.Task`; one label for each sample by
        default.
    collate
        Pads samples of unequal length, see `splitopt.training.tasks.Task`.

    Returns
    -------
    The data in memory: inputs and targets of shape (n, ...); labels have shape (n,). Images are
    scaled to 0..1 and nothing else is done to them.

    Raises
    ------
    InputError
        Data that are not there, with how to get them; files that are cut short, of another kind,
        or contradict each other; labels outside the classes; values that are not finite.
    """
    found = _loaded(source, seed, targets, collate)
    if found.targets != targets and targets.kind != "any":
        raise InputError.at(
            "data",
            f"{found.name} has {found.targets.words} for each sample, and the task needs "
            f"{targets.words}; name the task that the data are for",
        )
    return found


def _loaded(source: Source, seed: int, targets: Targets, collate: Collate | None) -> DataSet:
    if isinstance(source, DataSet):
        return source
    if isinstance(source, str):
        return _by_name(source, seed, targets, collate)
    if isinstance(source, os.PathLike):
        return _by_path(Path(source), seed, targets, collate)
    if isinstance(source, Dataset):
        return from_torch([source], "data", seed, targets, collate=collate)
    if isinstance(source, tuple | list) and source:
        if all(isinstance(part, Dataset) for part in source) and len(source) <= 2:
            return from_torch(source, "data", seed, targets, collate=collate)
        if not any(isinstance(part, Dataset) for part in source):
            return from_arrays(source, "data", seed, targets, collate=collate)
    raise InputError.at(
        "data",
        f"is of type {type(source).__name__}; give a name, a path, (x, y), "
        "(x_train, y_train, x_test, y_test) or PyTorch data sets",
    )


def _by_name(source: str, seed: int, targets: Targets, collate: Collate | None) -> DataSet:
    if source == "digits":
        return load_digits(seed)
    if source.partition(":")[0] == TEXT:
        return load_text(source)
    if source in KNOWN:
        return KNOWN[source].load()
    name, colon, folder = source.partition(":")
    if colon and name in KNOWN:
        return KNOWN[name].load(Path(folder))
    if source.endswith(".npz") or os.path.exists(source):
        return _by_path(Path(source), seed, targets, collate)
    raise InputError.at(
        "data",
        f"{shown(source)} is neither digits, {', '.join(KNOWN)}, one of the last {len(KNOWN)} with "
        f"a folder (NAME:FOLDER), {TEXT}, {TEXT}:FILE, nor the path of an .npz file",
    )


def _by_path(path: Path, seed: int, targets: Targets, collate: Collate | None) -> DataSet:
    if not os.path.exists(path):
        raise InputError(f"{path}: there is no such file")
    if path.is_dir():
        # MNIST and Fashion-MNIST have the same file names: the folder's own name tells.
        words = os.path.realpath(path).lower()
        names = ["fashion-mnist" if "fashion" in words else "mnist", "cifar10", "celeba"]
        for name in names:
            if KNOWN[name].is_here(path):
                return KNOWN[name].load(path)
        raise InputError(
            f"{path}: holds neither idx files of MNIST or Fashion-MNIST nor batches of CIFAR-10"
        )
    if path.suffix != ".npz":
        raise InputError(f"{path}: is not an .npz file; other files are read as NAME:FOLDER")
    return read_npz(path, seed, targets, collate)
