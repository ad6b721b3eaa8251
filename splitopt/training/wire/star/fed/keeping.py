"""What the fed server keeps between runs: its own part, in files of its own.

Rank 0 writes a checkpoint after every round, and may be gone before or after it. So the fed server
keeps its states of the last two rounds, each in a folder, and goes on from the one that rank 0 has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splitopt.errors import InputError
from splitopt.storage.writing import write_atomic
from splitopt.training.history import History
from splitopt.training.model_parts.averaging import state_bytes
from splitopt.training.saving import checkpoint
from splitopt.training.saving.keeper import restore
from splitopt.training.schemes.base import Scheme
from splitopt.training.two_servers import FED
from splitopt.training.wire.fed_files import FOLDERS
from splitopt.training.wire.own_parts import own_names
from splitopt.training.wire.setting import OwnFiles


class Kept:
    """The files of a fed server.

    Parameters
    ----------
    scheme
        With nothing but the client parts.
    identity
        Of the run.
    files
        Where they are.
    """

    def __init__(self, scheme: Scheme, identity: Mapping[str, Any], files: OwnFiles) -> None:
        self.scheme, self.files = scheme, files
        self.identity = {**identity, "party": FED}
        self._writers: dict[str, checkpoint.Writer] = {}

    def go_to(self, rounds: int) -> None:
        """Load the state after so many rounds, with which rank 0 begins.

        Raises
        ------
        InputError
            There is none, or one that a new run would replace.
        """
        folder = self._folder(rounds)
        if folder is None or not self.files.resume:
            self._begin_anew(rounds)
            return
        if not checkpoint.exists(folder):
            raise InputError(
                f"{self.files.checkpoint}: the fed server has no checkpoint of round {rounds}, "
                "from which rank 0 goes on; take the folders of the same run"
            )
        found = checkpoint.load(folder, self.identity)
        if (there := found.history.origin.get("rounds")) != rounds:
            raise InputError(
                f"{folder}: the fed server's checkpoint is of round {there}, and rank 0 goes on "
                f"from round {rounds}; take the folders of the same run"
            )
        restore(self.scheme, found, str(folder))

    def save(self, rounds: int) -> None:
        """Write the state after so many rounds, if it is to be kept."""
        folder = self._folder(rounds)
        if folder is None:
            return
        if folder.name not in self._writers:
            self._writers[folder.name] = checkpoint.Writer(folder)
        origin = {"party": FED, "rounds": rounds}
        self._writers[folder.name].save(
            self.scheme.state_dict(), self.identity, History(origin=origin)
        )

    def save_model(self) -> str | None:
        """Write the averaged client part under the names of the whole model; return the file."""
        path = self.files.model
        if path is None:
            return None
        state = self.scheme.model.state_dict()
        write_atomic(path, state_bytes({name: state[name] for name in own_names(self.scheme)}))
        return str(path)

    def close(self) -> None:
        """Unlock the folders for others."""
        for writer in self._writers.values():
            writer.close()

    def _begin_anew(self, rounds: int) -> None:
        if rounds:
            raise InputError.at(
                "resume",
                f"rank 0 goes on from round {rounds}, and the fed server was started without a "
                "checkpoint to go on from; give it --checkpoint and --resume as well",
            )
        self.save(0)

    def _folder(self, rounds: int) -> Path | None:
        place = self.files.checkpoint
        return None if place is None else place / FOLDERS[rounds % 2]
