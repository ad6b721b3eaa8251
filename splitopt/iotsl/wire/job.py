"""What a device's process is told when it starts, as a file that only this machine reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitopt.documents.json_text import read_json
from splitopt.iotsl.device import Learning
from splitopt.storage.writing import write_atomic


@dataclass(frozen=True)
class ExchangeJob:
    """What all devices of an exchange are told.

    Parameters
    ----------
    folder
        Of the run.
    names
        Of the devices, by rank from 1 on.
    learning
        What each of them is to learn.
    """

    folder: Path
    names: tuple[str, ...]
    learning: tuple[Learning, ...]

    @property
    def agreement(self) -> dict[str, Any]:
        """What all parties must have alike."""
        return {
            "names": list(self.names),
            "learning": {
                name: own.to_dict() for name, own in zip(self.names, self.learning, strict=True)
            },
        }

    def save(self, place: Path) -> Path:
        """Write it into a folder and return the file."""
        path = place / "exchange.json"
        document = {
            "folder": str(self.folder.resolve()),
            "names": list(self.names),
            "learning": [own.to_dict() for own in self.learning],
        }
        write_atomic(path, json.dumps(document, allow_nan=False))
        return path

    @classmethod
    def load(cls, path: str | Path) -> ExchangeJob:
        """Read what `save` wrote."""
        found = read_json(path)
        learning: Sequence[Any] = found["learning"]
        return cls(
            Path(found["folder"]),
            tuple(found["names"]),
            tuple(Learning.from_dict(own) for own in learning),
        )
