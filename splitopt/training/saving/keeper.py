"""What a training keeps between rounds, so that it can go on after an interruption."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from splitopt.errors import InputError
from splitopt.training.history import History
from splitopt.training.preparing.prepare import Prepared
from splitopt.training.saving import checkpoint
from splitopt.training.saving.checkpoint import Checkpoint
from splitopt.training.schemes import Scheme

_MOMENT = re.compile(r"copy\.\d+\.moments\.")
_ON_CUDA = re.compile(r"client\.\d+\.stream\.cuda_state")
_LEFT_OUT = re.compile(r"client\.\d+\.crossing\.")
_ORDER = re.compile(r"client\.\d+\.batches\.order")
"""What the entries of a scheme's state are, by the beginning of their names."""


def check_new(folder: str | Path) -> None:
    """Raise an error if a folder has a checkpoint, which a new run would replace."""
    if checkpoint.exists(folder):
        raise InputError(f"{folder}: holds a checkpoint already; resume it, or take another folder")


class Keeper:
    """Keeps the state of the last whole round, and writes it to the folder now and then.

    Parameters
    ----------
    prepared
        What is trained.
    folder
        None to keep nothing.
    every
        Write after so many rounds, and after the last one.
    resume
        Go on from the checkpoint that is there.
    """

    def __init__(
        self, prepared: Prepared, folder: str | Path | None, every: int, resume: bool
    ) -> None:
        self.prepared, self.folder, self.every, self.resume = prepared, folder, every, resume
        self._writer: checkpoint.Writer | None = None
        self._kept: tuple[dict[str, Tensor], History] | None = None

    def begin(self) -> History:
        """Return the history to go on with, having loaded or written the first checkpoint.

        Raises
        ------
        InputError
            There is none to go on from, one that must not be replaced, or it is of another run.
        InUseError
            Another run writes into the folder.
        """
        folder = self.folder
        if folder is None:
            return History(origin=self.prepared.origin)
        if self.resume and not checkpoint.exists(folder):
            checkpoint.load(folder)  # says that there is none, before a folder is made
        if not self.resume:
            check_new(folder)
        self._writer = checkpoint.Writer(folder)
        if self.resume:
            found = checkpoint.load(folder, self.prepared.identity)
            restore(self.prepared.scheme, found, str(folder))
            return found.history
        check_new(folder)  # another run may have ended there meanwhile
        history = History(origin=self.prepared.origin)
        self._save(self.prepared.scheme.state_dict(), history)
        return history

    def keep(self, history: History, last: bool) -> None:
        """Remember a round that is done, and write it if it is one of those to write."""
        if self.folder is None:
            return
        self._kept = (self.prepared.scheme.state_dict(), history)
        if last or len(history) % self.every == 0:
            self.end()

    def end(self) -> None:
        """Write what is remembered and not written yet."""
        if self._kept is None:
            return
        try:
            self._save(*self._kept)
        except Exception:
            self._kept = None  # a full disk is not asked again
            raise
        self._kept = None

    def close(self) -> None:
        """Unlock the folder for others."""
        if self._writer is not None:
            self._writer.close()

    def _save(self, state: dict[str, Tensor], history: History) -> None:
        if self._writer is not None:
            self._writer.save(state, self.prepared.identity, history)


def restore(scheme: Scheme, found: Checkpoint, source: str) -> None:
    """Load into a scheme the state of a checkpoint.

    Raises
    ------
    InputError
        A tensor is missing, unknown or of another shape.
    """
    wanted = scheme.state_dict()
    fixed = {name for name in wanted if not _is_optional(name)}
    senders = {
        f"client.{index}.crossing.{key}"
        for index, client in enumerate(scheme.clients)
        for key in client.crossing.keys_of(len(client.cuts))
    }
    parameters = {
        f"copy.{index}.moments.{name}": value
        for index, own in enumerate(scheme.copies())
        for name, value in own.model.named_parameters()
    }
    for name in sorted(fixed | set(found.state)):
        value = found.state.get(name)
        if _ON_CUDA.fullmatch(name) or (_ORDER.fullmatch(name) and value is not None):
            continue  # may be missing, and its length is not always the same
        if _MOMENT.match(name):
            like = parameters.get(name.rpartition(":")[0])
            fits = like is not None and value is not None and value.shape in ((), like.shape)
        elif _LEFT_OUT.match(name):
            fits = name in senders and value is not None and value.is_floating_point()
        else:
            fits = (
                name in fixed
                and value is not None
                and (value.shape, value.dtype) == (wanted[name].shape, wanted[name].dtype)
            )
        if not fits:
            raise InputError(f"{source}: the checkpoint does not fit this model ({name})")
    scheme.load_state_dict(found.state)


def _is_optional(name: str) -> bool:
    """Report whether an entry of a scheme's state is not there from the beginning."""
    return any(kind.match(name) for kind in (_MOMENT, _ON_CUDA, _LEFT_OUT))
