"""Results of attacks by what they are results of, so that a run that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitopt.documents.json_text import read_json
from splitopt.documents.schemas import validated
from splitopt.errors import InputError
from splitopt.privacy.leakage.documents import ResultDocument
from splitopt.storage.writing import write_json


@dataclass(frozen=True)
class Result:
    """What one attack on one group of samples gave.

    Parameters
    ----------
    measures
        Measure -> a number of each sample, or one of all.
    chance
        Measure -> what it is without an attack, where that is known.
    found
        The reconstructions as flat lists, where they are to be shown.
    """

    measures: Mapping[str, list[float]]
    chance: Mapping[str, float]
    found: list[list[float]] | None = None


class Store:
    """A folder of results, each in a file named by the hash of what it depends on.

    Parameters
    ----------
    folder
        It is made when the first result is kept; None keeps nothing.

    Raises
    ------
    InputError
        It is no folder.
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is not None and folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is not a folder, and results of attacks are kept in one")
        self._folder = folder

    def get(self, identity: Mapping[str, Any]) -> Result | None:
        """Return what is kept under an identity; a file that is damaged counts as absent."""
        path = self._path(identity)
        if path is None or not path.is_file():
            return None
        try:
            read = validated(ResultDocument, read_json(path), str(path))
        except InputError:
            return None
        return Result(read.measures, read.chance, read.found)

    def put(self, identity: Mapping[str, Any], result: Result) -> None:
        """Keep a result."""
        path = self._path(identity)
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path.parent}: cannot be made ({error.strerror})") from None
        write_json(path, vars(result))

    def _path(self, identity: Mapping[str, Any]) -> Path | None:
        if self._folder is None:
            return None
        text = json.dumps(identity, sort_keys=True, allow_nan=False)
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
