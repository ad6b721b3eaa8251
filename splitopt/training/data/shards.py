"""Data that each client has of its own, and that no other party sees."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from splitopt.documents.archives import Archive
from splitopt.errors import InputError, shown
from splitopt.storage.writing import write_atomic
from splitopt.training.data.arrays import (
    ARRAY_LIMIT_BYTES,
    arrays_of,
    from_arrays,
    from_torch,
    npz_bytes,
    read_fields,
)
from splitopt.training.data.batches import Batches
from splitopt.training.data.dataset import DataSet
from splitopt.training.data.named import Inputs, changed, joined, shapes_of
from splitopt.training.data.positions import Positions
from splitopt.training.data.told_kinds import kind_of
from splitopt.training.data.told_kinds import misfit as misfit
from splitopt.training.tasks.collating import Collate
from splitopt.training.tasks.targets import Targets

OWN = "own"
"""The partition of clients who have data of their own."""
TEST = "test"
"""What the data to test with are called among those of clients."""
_FIELDS = {"train": (("x_train", "y_train"), ("x", "y")), TEST: (("x_test", "y_test"), ("x", "y"))}
_BOTH = (("x_train", "y_train", "x_test", "y_test"),)
_FEWEST_CLASSES = 2


def is_own(data: Any, partition: str) -> bool:
    """Report whether data are given for each client by itself: asked for, or a dict of them.

    Raises
    ------
    InputError
        A dict, and another partition than the usual one.
    """
    if isinstance(data, Mapping) and partition not in ("iid", OWN):
        raise InputError.at(
            "partition",
            f"is {shown(partition)}, but a dict has data for each client by itself; leave it out",
        )
    return isinstance(data, Mapping) or partition == OWN


def check_all(data: Any) -> None:
    """Raise `InputError` for what cannot be the data of all clients, such as a single file."""
    is_folder = isinstance(data, str | os.PathLike) and Path(data).is_dir()
    if not isinstance(data, Mapping) and not is_folder:
        raise InputError.at(
            "data",
            f"with the partition {OWN!r} must be a folder with a file NAME.npz for each device and "
            f"{TEST}.npz, or a dict of sources by these names",
        )


@dataclass(frozen=True, eq=False)
class Shard:
    """What one party has: the data of a client, or those to test with.

    Parameters
    ----------
    name
        Of the client, or `TEST`.
    data
        All its samples, to train and to test with alike; of a client who has the tests, both.
    """

    name: str
    data: DataSet

    @property
    def inputs(self) -> Inputs:
        """The inputs of its samples."""
        return self.data.train_inputs

    @property
    def targets(self) -> Tensor:
        """The targets of its samples."""
        return self.data.train_targets

    def told(self) -> dict[str, Any]:
        """Return what others are told of it: how many samples of what kind, and nothing of them."""
        return {
            "samples": len(self.targets),
            "classes": self.data.classes,
            "inputs": [kind_of(*one) for one in shapes_of(self.inputs)],
            "targets": kind_of("", tuple(self.targets.shape[1:]), self.targets.dtype),
        }


def read_shards(
    data: Any,
    names: Sequence[str],
    targets: Targets,
    collate: Collate | None = None,
    test_at: str | None = None,
) -> dict[str, Shard]:
    """Read the data of all clients, and those to test with.

    Parameters
    ----------
    data
        A dict of sources by the names of clients and `TEST`, or a folder of files with these names.
    names
        Of the clients.
    targets
        What the targets are.
    collate
        Pads samples of unequal length.
    test_at
        The client among whose data are those to test with; None where they stand by themselves.

    Returns
    -------
    The shard of each client in their order, and that to test with last. All have as many classes
    as the one that has most.

    Raises
    ------
    InputError
        One is missing, cannot be read, or is of another kind than the first; it is named.
    """
    if test_at is None:
        sources = _sources(data, names)
        found = {name: read_shard(sources[name], name, targets, collate) for name in (*names, TEST)}
    else:
        sources = _sources(data, names, has_tests=False)
        found = {
            name: read_shard(sources[name], name, targets, collate, has_tests=name == test_at)
            for name in names
        }
        both = found[test_at].data
        tests = replace(both, train_inputs=both.test_inputs, train_targets=both.test_targets)
        found[TEST] = Shard(TEST, tests)
    first = found[names[0]]
    for name, shard in found.items():
        if why := misfit(shard.told(), first.told(), names[0]):
            raise InputError.at(_place(name), why)
    most = max(shard.data.classes or 0 for shard in found.values()) or None
    return {k: replace(one, data=replace(one.data, classes=most)) for k, one in found.items()}


def read_own(
    data: Any,
    name: str,
    names: Sequence[str],
    targets: Targets,
    collate: Collate | None = None,
    *,
    has_tests: bool = False,
) -> Shard:
    """Read the data of one party and of nobody else.

    Parameters
    ----------
    data
        A file of its own, or as for `read_shards`.
    name
        Of the client, or `TEST`.
    names, targets, collate
        As for `read_shards`.
    has_tests
        Whether those to test with are among the client's.
    """
    is_file = isinstance(data, str | os.PathLike) and not Path(data).is_dir()
    source = data if is_file else _sources(data, names, only=name)[name]
    return read_shard(source, name, targets, collate, has_tests=has_tests)


def read_shard(
    source: Any,
    name: str,
    targets: Targets,
    collate: Collate | None = None,
    *,
    has_tests: bool = False,
) -> Shard:
    """Read one party's data: an ``.npz`` file, a pair of arrays, a data set.

    Of a file or four arrays with data to train and to test with, a client has the former, and both
    where it is the one who has the tests.
    """
    if has_tests:
        return _with_tests(source, name, targets, collate)
    place, kind = _place(name), TEST if name == TEST else "train"
    if isinstance(source, DataSet):
        inputs, own = source.train_inputs, source.train_targets
        if kind == TEST:
            inputs, own = source.test_inputs, source.test_targets
        data = replace(
            source, train_inputs=inputs, train_targets=own, test_inputs=inputs, test_targets=own
        )
        return Shard(name, data)
    if isinstance(source, torch.utils.data.Dataset):
        both = [source, source]
        return Shard(name, from_torch(both, place, 0, targets, _FEWEST_CLASSES, collate))
    least = _FEWEST_CLASSES
    if isinstance(source, str | os.PathLike):
        source, declared = _read(Path(source), _FIELDS[kind])
        least = max(least, declared)
    if not isinstance(source, tuple | list) or len(source) not in (2, 4):
        raise InputError.at(place, "must be the path of an .npz file, (x, y) or a data set")
    x, y = source[2:] if len(source) == 4 and kind == TEST else source[:2]
    return Shard(name, from_arrays((x, y, x, y), place, 0, targets, least, collate))


def _with_tests(source: Any, name: str, targets: Targets, collate: Collate | None) -> Shard:
    """Read the data of a client who has those to test with as well."""
    place, least = _place(name), _FEWEST_CLASSES
    if isinstance(source, DataSet):
        return Shard(name, source)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        source, declared = _read(path, _BOTH)
        least = max(least, declared)
    if not isinstance(source, tuple | list) or len(source) != 4:
        raise InputError.at(
            place,
            "must be an .npz file with x_train, y_train, x_test and y_test, four such arrays or a "
            "data set, since the data to test with are this device's",
        )
    return Shard(name, from_arrays(tuple(source), place, 0, targets, least, collate))


def together(shards: Mapping[str, Shard]) -> tuple[DataSet, list[Tensor]]:
    """Return one data set of the shards of all clients, and the rows of each client in it."""
    *clients, test = shards.values()
    counts = [len(shard.targets) for shard in clients]
    whole = replace(
        test.data,
        name="own data",
        train_inputs=joined([shard.inputs for shard in clients], torch.cat),
        train_targets=torch.cat([shard.targets for shard in clients]),
    )
    return whole, list(torch.split(torch.arange(sum(counts)), counts))


def save_shards(
    folder: str | Path, data: DataSet, names: Sequence[str], parts: Sequence[Tensor]
) -> None:
    """Write a file for each client, of its rows of some data, and one to test with.

    Each says how many classes there are in all, since a client may have few of them.

    Raises
    ------
    InputError
        A name that no file can have, or another number of names than of parts.
    """
    if len(names) != len(parts):
        raise InputError.at("names", f"are {len(names)}, and there are {len(parts)} parts")
    for name in names:
        _file(Path(folder), name)
    Path(folder).mkdir(parents=True, exist_ok=True)
    found = {
        name: (data.train_inputs[rows], data.train_targets[rows])
        for name, rows in zip(names, parts, strict=True)
    }
    for name, own in (found | {TEST: (data.test_inputs, data.test_targets)}).items():
        save_shard(_file(Path(folder), name), *own, data.classes)


def save_kind(path: str | Path, data: DataSet) -> None:
    """Write two samples of zeros of the kind of some data, and how many classes these have.

    Whoever has no sample of a training, such as rank 0 where a device has the data to test with,
    is started with such a file.
    """
    inputs, targets = changed(data.train_inputs[:2], _zeros), _zeros(data.train_targets[:2])
    save_shard(Path(path), inputs, targets, data.classes)


def _zeros(values: Tensor) -> Tensor:
    """Return zeros of the same kind, and masks that are true everywhere."""
    return torch.ones_like(values) if values.dtype is torch.bool else torch.zeros_like(values)


def save_shard(path: Path, inputs: Inputs, targets: Tensor, classes: int | None) -> None:
    """Write the file of one party, with how many classes there are in all."""
    arrays = arrays_of("x", inputs) | arrays_of("y", targets)
    write_atomic(path, npz_bytes(arrays, classes))


class Elsewhere(Batches):
    """A client's place in its local epoch, in a process that has none of its data.

    Parameters
    ----------
    like
        Samples of the same kind, of which examples are made.
    samples
        How many the client has, until it says so itself.
    size, seed, positions
        As for `Batches`.
    """

    def __init__(
        self,
        like: Shard,
        samples: int,
        size: int | None,
        seed: int,
        positions: Positions | None = None,
    ) -> None:
        rows = torch.arange(size or samples) % len(like.targets)
        super().__init__(like.inputs[rows], like.targets[rows], size, seed, positions)
        self._like, self._whole = like.data, size
        self.tell(samples, like.data.classes)

    def tell(self, samples: int, classes: int | None) -> None:
        """Record how many samples of how many classes the client says that it has."""
        self._samples, self.classes = samples, classes
        self.size = samples if self._whole is None else min(self._whole, samples)

    @property
    def samples(self) -> int:
        """Number of samples of the client."""
        return self._samples

    def can_have(self, targets: Tensor) -> bool:
        """Report whether targets are such as the client may have."""
        return not bool(self._like.targets.outside(targets, self.classes).any())

    def to(self, device: torch.device | str) -> Elsewhere:
        """Move the examples to a device."""
        self.inputs, self.targets = self.inputs.to(device), self.targets.to(device)
        return self


def _sources(
    data: Any, names: Sequence[str], only: str | None = None, *, has_tests: bool = True
) -> dict[str, Any]:
    """Return the source of each client's data and of those to test with, of one or of all."""
    if TEST in names:
        raise InputError.at(
            "partition",
            f"{OWN!r}: a device is called {TEST}, as the data to test with are; rename it",
        )
    every = (*names, TEST) if has_tests else tuple(names)
    wanted = every if only is None else (only,)
    if isinstance(data, Mapping):
        for name in wanted:
            if name not in data:
                what = "data to test with" if name == TEST else f"data of {name}"
                raise InputError.at("data", f"has no {what}; give data[{name!r}]")
        for name in data:
            if name not in (*names, TEST):
                raise InputError.at(
                    "data",
                    f"has {shown(name)}, which is no device of the plan; it has "
                    f"{', '.join(names)}, and {TEST} beside them",
                )
        return dict(data)
    check_all(data)
    files = {name: _file(Path(data), name) for name in wanted}
    for name, file in files.items():
        if not file.is_file():
            raise InputError(f"{file}: there is no such file, with {_place(name)}")
    return files


def _file(folder: Path, name: str) -> Path:
    """Return the file of a client; raise `InputError` where its name is none of a file."""
    if name in ("", ".", "..") or any(mark in name for mark in ("/", "\\", "\0")):
        raise InputError.at("data", f"{shown(name)} is no name of a file; give a dict of sources")
    return folder / f"{name}.npz"


def _read(path: Path, sets: Sequence[tuple[str, ...]]) -> tuple[tuple[Any, ...], int]:
    """Read the first of some sets of fields of a file, and how many classes it says there are."""
    if path.suffix != ".npz":
        raise InputError(f"{path}: is not an .npz file; a client's own data are one")
    with Archive(path, ARRAY_LIMIT_BYTES) as archive:
        found = tuple(read_fields(archive, sets, path))
        classes = archive.read("classes") if "classes" in archive.names else None
    if classes is None:
        return found, 0
    if classes.shape != () or classes.dtype.kind not in "iu" or not 0 < int(classes) < 2**31:
        raise InputError(f"{path}, classes: must be one whole number, how many classes there are")
    return found, int(classes)


def _place(name: str) -> str:
    return "data to test with" if name == TEST else f"data of {name}"
