"""Which files a fed server writes, and that they can be written, before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from splitopt.errors import InputError
from splitopt.storage.writing import check_writable
from splitopt.training.saving.keeper import check_new
from splitopt.training.two_servers import FED
from splitopt.training.wire.setting import OwnFiles

if TYPE_CHECKING:
    from splitopt.training.preparing.prepare import Prepared
    from splitopt.training.schedule import Schedule
    from splitopt.training.wire.setting import WireOptions

FOLDERS = ("even", "odd")
"""In its folder, of the states after an even and an odd number of rounds."""


def has_fed(prepared: Prepared) -> bool:
    """Report whether a fed server takes part in a run."""
    return prepared.scheme.options.fed_server


def files_of(schedule: Schedule, wanted: WireOptions, beside: bool = False) -> OwnFiles:
    """Return what the fed server keeps.

    ``beside`` says that rank 0 has the folder of checkpoints, so that the fed server takes one
    inside of it.
    """
    folder = None if schedule.checkpoint is None else Path(schedule.checkpoint)
    if folder is not None and beside:
        folder = folder / FED
    model = None if wanted.fed_model is None else Path(wanted.fed_model)
    return OwnFiles(folder, schedule.resume, model)


def check_files(prepared: Prepared, schedule: Schedule, wanted: WireOptions) -> None:
    """Raise `InputError` for what does not go together with a fed server, or without one."""
    if not has_fed(prepared):
        if wanted.fed_model is not None:
            raise InputError.at(
                "fed_model", "is for a run with a fed server; leave it out, or take fed_server"
            )
        return
    if schedule.checkpoint_every != 1:
        raise InputError.at(
            "checkpoint_every",
            "does not go together with fed_server, where both servers write after every round so "
            "that their checkpoints fit each other; leave it out",
        )


def check_files_new(files: OwnFiles) -> None:
    """Raise an error where a fed server could not write its files, or would replace a checkpoint.

    Raises
    ------
    InputError
        With the file or the folder.
    """
    if files.model is not None:
        check_writable(files.model)
    if files.checkpoint is not None and not files.resume:
        for name in FOLDERS:
            check_new(files.checkpoint / name)
