"""Keeping answered samples in a folder, so that an interrupted run goes on where it was."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.files import expect_format, parse_json, read_text, write_atomic
from splitopt.solvers.cut_under_uncertainty.inner import BatchResult

FORMAT = "splitopt-checkpoint"
VERSION = 2
_HEAD = "checkpoint.json"
_ARRAYS = ("samples", "value", "bound", "members", "sizes", "subcarriers")


class Checkpoint:
    """A folder with a header that names the work, and one archive of plain arrays per batch.

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
    """

    def __init__(self, folder: str | Path, work: Mapping[str, Any]):
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be made a folder ({error.strerror})") from None
        head = self.folder / _HEAD
        document = {"format": FORMAT, "version": VERSION, **work}
        if not head.exists():
            if any(self.folder.iterdir()):
                raise InputError(f"{folder}: is not empty and no checkpoint; name another folder")
            write_atomic(head, json.dumps(document, indent=1) + "\n")
            return
        found = expect_format(parse_json(read_text(head), str(head)), str(head), FORMAT, VERSION)
        for name, value in document.items():
            if found.get(name) != value:
                raise InputError(
                    f"{folder}: is the checkpoint of other work ({name} is {found.get(name)!r}, "
                    f"now it is {value!r}); name another folder"
                )

    def load(self) -> Iterator[BatchResult]:
        """Give all batches that were kept; a file that cannot be read is refused."""
        for path in sorted(self.folder.glob("batch-*.npz")):
            try:
                with np.load(path, allow_pickle=False) as archive:
                    arrays = {name: archive[name] for name in _ARRAYS}
                    stream, cut = (int(archive[name]) for name in ("stream", "cut"))
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                raise InputError(
                    f"{path}: cannot be read ({error}); remove it, its samples are answered anew"
                ) from None
            yield BatchResult(stream, cut, **arrays)

    def keep(self, result: BatchResult) -> None:
        """Write one batch, atomically."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {name: getattr(result, name) for name in _ARRAYS}
        np.savez(buffer, allow_pickle=False, stream=result.stream, cut=result.cut, **arrays)
        first, last = int(result.samples[0]), int(result.samples[-1])
        name = f"batch-{result.stream:04d}-{result.cut:04d}-{first:06d}-{last:06d}.npz"
        write_atomic(self.folder / name, buffer.getvalue())
