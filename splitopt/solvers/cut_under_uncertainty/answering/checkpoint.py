"""Keeping answered samples in a folder, so that an interrupted run goes on where it was.

Every batch carries a digest of its answers and of the work that they belong to. One run at a time
writes into a folder: it holds the folder's lock.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from splitopt.documents.archives import NUMBERS, TEXTS, read_archive
from splitopt.documents.json_text import expect_format, read_json
from splitopt.errors import InputError, shown
from splitopt.plans import digest
from splitopt.solvers.cut_under_uncertainty.answering.inner import BatchResult
from splitopt.storage.locks import NAME, Lock
from splitopt.storage.outputs import cannot_write
from splitopt.storage.temporary import PREFIX
from splitopt.storage.writing import write_atomic

FORMAT = "splitopt-checkpoint"
VERSION = 3
_HEAD = "checkpoint.json"
_ARRAYS = ("samples", "value", "bound", "members", "sizes", "subcarriers")
_ENTRIES = (*_ARRAYS, "stream", "cut", "digest")
_MOST_UNPACKED = 2**28
"""Bytes of the arrays of one batch."""


class Checkpoint:
    """A folder with a header that names the work, and one archive of plain arrays per batch.

    It is this run's alone until `close`, or the end of the process.

    Parameters
    ----------
    folder
        Made if it is not there.
    work
        What the answers depend on: the instance's digest, the inner solver, the seed.

    Raises
    ------
    InputError
        The folder holds something else, or the answers of other work.
    InUseError
        Another run writes there; the message says which one.
    """

    def __init__(self, folder: str | Path, work: Mapping[str, Any]):
        self.folder = Path(folder)
        self._document = {"format": FORMAT, "version": VERSION, **work}
        self._work = digest(self._document)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._check_empty()  # before anything is written into a folder of something else
            self._lock = Lock(folder)
        except OSError as error:
            raise cannot_write(folder, error, "made a folder of checkpoints") from None
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _check_empty(self) -> None:
        """Reject what is no checkpoint; what a run that was killed at once left is nothing."""
        if (self.folder / _HEAD).exists():
            return
        for entry in self.folder.iterdir():
            if entry.name != NAME and not entry.name.startswith(f".{PREFIX}"):
                raise InputError(
                    f"{self.folder}: is not empty and no checkpoint; name another folder"
                )

    def _begin(self) -> None:
        head = self.folder / _HEAD
        if not head.exists():
            write_atomic(head, json.dumps(self._document, indent=1) + "\n")
            return
        found = expect_format(read_json(head), str(head), FORMAT, VERSION)
        for name, value in self._document.items():
            if found.get(name) != value:
                raise InputError(
                    f"{self.folder}: is the checkpoint of other work ({name} is "
                    f"{shown(found.get(name))}, now it is {shown(value)}); name another folder"
                )

    def load(self) -> Iterator[BatchResult]:
        """Yield all batches that were kept.

        Raises
        ------
        InputError
            A file cannot be read, or holds other answers than were written.
        """
        for path in sorted(self.folder.glob("batch-*.npz")):
            try:
                found = read_archive(path, _MOST_UNPACKED, NUMBERS + TEXTS, _ENTRIES)
                arrays = {name: found[name] for name in _ARRAYS}
                stream, cut = (int(found[name]) for name in ("stream", "cut"))
                mark = str(found["digest"])
            except (ValueError, TypeError) as error:
                raise _refused(path, f"cannot be read ({error})") from None
            for name in ("value", "bound"):
                if arrays[name].dtype != np.float64 or np.isnan(arrays[name]).any():
                    raise _refused(path, f"{name} holds what is no number")
            if mark != self._mark(stream, cut, arrays):
                raise _refused(path, "does not match its digest, it was changed or damaged")
            yield BatchResult(stream, cut, **arrays)

    def keep(self, result: BatchResult) -> None:
        """Write one batch, atomically."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {name: getattr(result, name) for name in _ARRAYS}
        mark = self._mark(result.stream, result.cut, arrays)
        np.savez(
            buffer,
            stream=result.stream,
            cut=result.cut,
            digest=mark,
            **arrays,
        )
        first, last = int(result.samples[0]), int(result.samples[-1])
        name = f"batch-{result.stream:04d}-{result.cut:04d}-{first:06d}-{last:06d}.npz"
        write_atomic(self.folder / name, buffer.getvalue())

    def close(self) -> None:
        """Release the folder for others to write."""
        self._lock.release()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def _mark(self, stream: int, cut: int, arrays: Mapping[str, Any]) -> str:
        """Return the digest of a batch: of its arrays to the bit, and of the work they are for."""
        found = sha256(f"{self._work} {stream} {cut}".encode())
        for name in _ARRAYS:
            array = np.ascontiguousarray(arrays[name])
            found.update(f" {name} {array.dtype.str} {array.shape} ".encode())
            found.update(array.tobytes())
        return found.hexdigest()


def _refused(path: Path, why: str) -> InputError:
    return InputError(f"{path}: {why}; remove it, its samples are answered anew")
