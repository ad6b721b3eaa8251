"""The folder of a run: what each step leaves, so that the next run goes on behind the last one.

``run.json`` names the run and has what its steps have come to; it is replaced in one step, when all
files of a step are there. One run at a time writes into a folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from splitopt.documents.json_text import expect_format, read_json
from splitopt.errors import InputError
from splitopt.iotsl.device import Samples, images_of
from splitopt.plans import digest
from splitopt.storage.locks import Lock
from splitopt.storage.outputs import cannot_write
from splitopt.storage.writing import write_json
from splitopt.training.data.shards import read_own
from splitopt.training.saving.checkpoint import expect_same_run
from splitopt.training.tasks.targets import LABELS

FORMAT = "splitopt-iotsl-run"
VERSION = 1
FILE = "run.json"


class RunFolder:
    """Where a run keeps what it has, and the right to write there.

    Parameters
    ----------
    folder
        Is made if it is not there.
    identity
        JSON-ready data that names the run.
    resume
        Go on with the run that is there.

    Raises
    ------
    InputError
        The folder cannot be written; or it holds a run that is not to be gone on with, none that
        could be, or another one.
    InUseError
        Another run writes there.
    """

    def __init__(self, folder: str | Path, identity: Mapping[str, Any], resume: bool) -> None:
        self.path, self.identity = Path(folder), dict(identity)
        self.steps: dict[str, dict[str, Any]] = {}
        there = (self.path / FILE).exists()
        if resume and not there:
            raise InputError(f"{folder}: there is no run to go on with; leave out --resume")
        if there and not resume:
            raise InputError(
                f"{folder}: holds a run already; go on with it by --resume, or take another folder"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.path)
        except OSError as error:
            raise cannot_write(folder, error, "made the folder of a run") from None
        try:
            if there:
                self._load()
            else:
                self._save()
        except BaseException:
            self.close()
            raise

    def _load(self) -> None:
        found = read_run(self.path)
        expect_same_run(found, self.identity, str(self.path))
        self.steps = dict(found["steps"])

    def _save(self) -> None:
        document: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "identity": self.identity,
            "steps": self.steps,
        }
        document["digest"] = digest(document)
        write_json(self.path / FILE, document, indent=1)

    def done(self, step: str, result: Mapping[str, Any]) -> None:
        """Remember what a step has come to, once all its files are there."""
        self.steps[step] = dict(result)
        self._save()

    def place(self, name: str) -> Path:
        """Return a folder in it, which is made if it is not there."""
        found = self.path / name
        try:
            found.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(found, error, "made a folder of a run") from None
        return found

    def generator(self, name: str) -> Path:
        """Return the file of a device's generator."""
        return self.place("generators") / f"{name}.safetensors"

    def close(self) -> None:
        """Release the right to write there."""
        self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()


def read_run(folder: str | Path) -> dict[str, Any]:
    """Read the file of a run.

    Raises
    ------
    InputError
        There is none, or it was changed or damaged.
    """
    from splitopt.documents.schemas import validated
    from splitopt.iotsl.documents import RunDocument

    path = Path(folder) / FILE
    found = dict(expect_format(read_json(path), str(path), FORMAT, VERSION))
    checked = validated(RunDocument, found, str(path))
    rest = {name: value for name, value in found.items() if name != "digest"}
    if checked.digest != digest(rest):
        raise InputError(f"{path}: does not match its digest; the file was changed or damaged")
    return found


def read_samples(folder: Path, names: list[str]) -> list[Samples]:
    """Read the samples of each device that `save_shards` wrote."""
    found = [read_own(str(folder), name, names, LABELS) for name in names]
    return [Samples(images_of(one.inputs, one.name), one.targets) for one in found]
