"""Checkpoints: two files that always fit each other, and are data only.

The tensors are in a safetensors file that is named by its own digest. The JSON file beside it names
that file, says which run it is of and what has happened so far, and ends with a digest of itself.
The JSON is replaced last and atomically; tensors that it no longer names are removed after that, so
that a crash at any moment leaves a whole checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import Tensor

from splitopt.errors import InputError
from splitopt.files import expect_format, parse_json, read_bytes, read_text, write_atomic
from splitopt.plans import digest
from splitopt.training.averaging import state_bytes
from splitopt.training.history import History

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
    """
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror})") from None
    content = state_bytes(state)
    mark = sha256(content).hexdigest()
    file = _TENSORS.format(mark[:16])
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "identity": dict(identity),
        "history": history.to_dict(),
        "tensors": {"file": file, "bytes": len(content), "sha256": mark},
    }
    document["digest"] = digest(document)
    write_atomic(place / file, content)
    write_atomic(place / FILE, json.dumps(document, allow_nan=False) + "\n")
    for old in place.glob(_TENSORS.format("*")):
        if old.name != file:
            old.unlink(missing_ok=True)


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

    from splitopt.schemas import validated
    from splitopt.training.documents import CheckpointDocument

    path = Path(folder) / FILE
    if not path.exists():
        raise InputError(f"{folder}: there is no checkpoint; name its folder, or begin anew")
    found = expect_format(parse_json(read_text(path), str(path)), str(path), FORMAT, VERSION)
    checked = validated(CheckpointDocument, found, str(path))
    rest = {name: value for name, value in found.items() if name != "digest"}
    if checked.digest != digest(rest):
        raise InputError(f"{path}: does not match its digest; the file was changed or damaged")
    if identity is not None:
        _same_run(found, identity, str(folder))
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


def _same_run(document: Mapping[str, Any], here: Mapping[str, Any], folder: str) -> None:
    """Refuse a checkpoint of another run, and name the first thing in which they differ."""
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
