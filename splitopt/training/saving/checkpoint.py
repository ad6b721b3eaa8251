"""Checkpoints: two files that always fit each other, and are data only.

The tensors are in a safetensors file that is named by its own digest. The JSON file beside it names
that file, says which run it is of and what has happened so far, and ends with a digest of itself.
The JSON is replaced last and atomically; tensors that it no longer names are removed after that, so
that a crash at any moment leaves a whole checkpoint.

One run at a time writes into a folder: it holds the folder's lock. Where the file system has no
locks, a run gives its tensors names of their own and removes no others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any

from torch import Tensor

from splitopt.documents.json_text import expect_format, parse_json, read_json
from splitopt.documents.reading import read_bytes, read_text
from splitopt.errors import InputError, WriteError
from splitopt.plans import digest
from splitopt.storage.locks import Lock
from splitopt.storage.outputs import cannot_write
from splitopt.storage.writing import write_atomic, write_json
from splitopt.training.history import History
from splitopt.training.model_parts.averaging import state_bytes

FORMAT = "splitopt-checkpoint"
VERSION = 1
FILE = "checkpoint.json"
_TENSORS = "state-{}.safetensors"
MOST_STATE = 2**36
"""Bytes of the tensors of a checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """A run after some rounds: which run, its history, and everything the next round needs."""

    identity: Mapping[str, Any]
    history: History
    state: dict[str, Tensor]

    @property
    def rounds(self) -> int:
        """How many rounds are done."""
        return len(self.history)


def exists(folder: str | Path) -> bool:
    """Whether there is a checkpoint in a folder."""
    return (Path(folder) / FILE).exists()


class Writer:
    """The one that may write checkpoints into a folder, until `close` or the end of the process.

    Parameters
    ----------
    folder
        Is made if it is not there.

    Raises
    ------
    InputError
        The folder cannot be made or written.
    InUseError
        Another run writes there; the message says which one.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._is_new = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(folder)
        except OSError as error:
            raise cannot_write(folder, error, "made a folder of checkpoints") from None
        self._own = "" if self._lock.is_held else f"-{token_hex(4)}"
        self._last: str | None = None

    def save(
        self, state: Mapping[str, Tensor], identity: Mapping[str, Any], history: History
    ) -> None:
        """Write a checkpoint in place of the one that is there; see `save`."""
        content = state_bytes(state)
        mark = sha256(content).hexdigest()
        file = _TENSORS.format(mark[:16] + self._own)
        document: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "identity": dict(identity),
            "history": history.to_dict(),
            "tensors": {"file": file, "bytes": len(content), "sha256": mark},
        }
        document["digest"] = digest(document)
        try:
            write_atomic(self.folder / file, content)
            write_json(self.folder / FILE, document)
        except InputError as error:
            if self._last is None:
                raise
            raise WriteError(str(error)) from None  # it was well named when the run began
        # Both are on the disk by now, names included: what comes next cannot overtake them.
        before, self._last = self._last, file
        for old in self._removable(before):
            if old.name != file:
                old.unlink(missing_ok=True)

    def _removable(self, before: str | None) -> list[Path]:
        """Return the tensors that no checkpoint needs once there is a new one."""
        if self._lock.is_held:
            return list(self.folder.glob(_TENSORS.format("*")))
        return [] if before is None else [self.folder / before]

    def close(self) -> None:
        """Release the lock; a folder that was made here for nothing is removed."""
        self._lock.release()
        if self._is_new and self._last is None:
            with suppress(OSError):
                self.folder.rmdir()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()


def save(
    folder: str | Path, state: Mapping[str, Tensor], identity: Mapping[str, Any], history: History
) -> None:
    """Write a checkpoint into a folder, in place of the one that is there.

    Parameters
    ----------
    folder
        Is made if it is not there.
    state
        `Scheme.state_dict`.
    identity
        JSON-ready data that names the run; see `load`.
    history
        Of the rounds that are done.

    Raises
    ------
    InputError
        The folder cannot be written.
    InUseError
        A run writes there; the message says which one.
    WriteError
        The disk is full or broken.
    """
    with Writer(folder) as writer:
        writer.save(state, identity, history)


def load(folder: str | Path, identity: Mapping[str, Any] | None = None) -> Checkpoint:
    """Read the checkpoint in a folder.

    Parameters
    ----------
    folder
        Where `save` wrote it.
    identity
        That of the run which goes on; None to take whatever there is.

    Raises
    ------
    InputError
        There is none, it was cut short or changed, or it is of another run.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    from splitopt.documents.schemas import validated
    from splitopt.training.documents import CheckpointDocument

    path = Path(folder) / FILE
    if not path.exists():
        raise InputError(f"{folder}: there is no checkpoint; name its folder, or begin anew")
    found = expect_format(read_json(path), str(path), FORMAT, VERSION)
    checked = validated(CheckpointDocument, found, str(path))
    rest = {name: value for name, value in found.items() if name != "digest"}
    if checked.digest != digest(rest):
        raise InputError(f"{path}: does not match its digest; the file was changed or damaged")
    if identity is not None:
        expect_same_run(found, identity, str(folder))
    tensors = checked.tensors
    file = Path(folder) / Path(tensors.file).name
    try:
        content = read_bytes(file, MOST_STATE)
    except InputError as error:
        raise InputError(f"{error}; {path} needs it") from None
    if sha256(content).hexdigest() != tensors.sha256:
        missing = tensors.bytes - len(content)
        words = f"is cut short by {missing:,} B" if missing > 0 else "was changed or damaged"
        raise InputError(f"{file}: {words}, {path} names other content")
    try:
        state = dict(from_bytes(content))
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{file}: is not a safetensors file ({error})") from None
    history = History.from_dict(found["history"], f"{path}: history")
    return Checkpoint(found["identity"], history, state)


def sources_of(folder: str | Path) -> dict[str, str]:
    """Return how ``model`` and ``data`` of the run of a checkpoint were named, where they were.

    Nothing is checked: a folder without a checkpoint that can be read has none.
    """
    try:
        found = parse_json(read_text(Path(folder) / FILE), str(folder))
    except InputError:
        return {}
    return _sources(found) if isinstance(found, Mapping) else {}


def _sources(document: Mapping[str, Any]) -> dict[str, str]:
    history = document.get("history")
    origin = history.get("origin") if isinstance(history, Mapping) else None
    if not isinstance(origin, Mapping):
        return {}
    texts = {what: origin.get(f"{what}_source") for what in ("model", "data")}
    return {what: text for what, text in texts.items() if isinstance(text, str)}


def expect_same_run(document: Mapping[str, Any], here: Mapping[str, Any], folder: str) -> None:
    """Reject a checkpoint of another run, and name the first thing in which they differ."""
    # As JSON has it; what causes a difference stands before what follows from it.
    saved, wanted = _flat(document["identity"]), _flat(json.loads(json.dumps(here)))
    named = _sources(document)
    for name in (*wanted, *saved):
        if saved.get(name) != wanted.get(name):
            raise InputError(
                f"{folder}: the checkpoint is of another run: {name} is "
                f"{_short(saved.get(name))} there and {_short(wanted.get(name))} here; go on with "
                f"what it was begun with{_proposed(named.get(name))}, or take another folder"
            )


def _proposed(named: str | None) -> str:
    return "" if named is None else f", {named}"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= _flat(item, f"{prefix}.{key}" if prefix else str(key))
    return found


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, str) else value
    return text if len(text) <= 24 else f"{text[:16]}..."
