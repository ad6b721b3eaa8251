"""Writing a folder so that it is there whole or not at all, at every instant.

Linux and macOS exchange two folders in one step. Elsewhere, and on file systems that cannot, an
earlier folder is set aside for a moment under a name of its own (`_aside`): a process that is
killed in between leaves it there, and the next export puts it back before it does anything else.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from splitopt.errors import InputError
from splitopt.storage.outputs import cannot_write
from splitopt.storage.swapping import exchange
from splitopt.storage.temporary import sync_folder, temporary_folder

MANIFEST = "parts.json"
_WRITTEN = frozenset(
    {
        MANIFEST,
        "parts.py",
        "model.py",
        "README.md",
        "weights.safetensors",
        "pipeline.json",
        "train_pipeline.py",
        "__pycache__",
    }
)
"""What an export may hold; only a folder with nothing else in it is ever replaced."""


def check_folder(path: str | Path, force: bool) -> None:
    """Raise an error if a folder cannot be written, before any work is done.

    Raises
    ------
    InputError
        The target is no folder or holds something that is not to be replaced.
    WriteError
        The disk is full or broken.
    """
    try:
        _check_folder(path, force)
        with temporary_folder(_real(path).parent):
            pass
    except OSError as error:
        raise cannot_write(path, error) from None


def _check_folder(path: str | Path, force: bool) -> None:
    target, real = Path(path), _real(path)
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{path}: cannot be written, it is not a folder")
    if not real.parent.is_dir():
        raise InputError(
            f"{path}: cannot be written, the folder {str(real.parent)!r} does not exist"
        )
    _put_back(real)
    if target.is_dir():
        there = sorted(entry.name for entry in target.iterdir())
        if there and not force:
            raise InputError(
                f"{path}: is not empty; choose another folder, or --force to replace an earlier "
                "export"
            )
        others = [name for name in there if name not in _WRITTEN]
        if there and (others or MANIFEST not in there):
            what = f"holds {others[0]!r}, which no export wrote" if others else "is no export"
            raise InputError(f"{path}: {what}, so it is not replaced; choose another folder")


def write_folder(path: str | Path, files: Mapping[str, bytes], force: bool = False) -> None:
    """Write files into a new folder beside the target, and put it in the target's place.

    Raises
    ------
    InputError
        The target cannot be written, or holds something and `force` is not given.
    WriteError
        The disk is full or broken.
    """
    check_folder(path, force)
    target = _real(path)
    try:
        with temporary_folder(target.parent) as made:
            new = made / "new"
            new.mkdir()
            for name, content in files.items():
                with open(new / name, "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
            sync_folder(new)
            if not target.exists():
                new.rename(target)
            elif not exchange(new, target):
                _replace_in_two_steps(new, target)
            sync_folder(target.parent)
    except OSError as error:
        raise cannot_write(path, error) from None


def _replace_in_two_steps(new: Path, target: Path) -> None:
    old = _aside(target)
    target.rename(old)
    try:
        new.rename(target)
    except OSError:
        old.rename(target)
        raise
    _discard(old)


def _put_back(target: Path) -> None:
    """Undo the first step of an export that was killed before its second one."""
    old = _aside(target)
    if old.is_symlink() or not old.is_dir():
        return
    if target.exists():  # both were done, and some of what was set aside may be removed already
        if all(entry.name in _WRITTEN for entry in old.iterdir()):
            _discard(old)
    elif (old / MANIFEST).is_file():
        old.rename(target)


def _discard(old: Path) -> None:
    """Remove an earlier export, its manifest last: until then it says what else is to go."""
    for entry in sorted(old.iterdir(), key=lambda entry: entry.name == MANIFEST):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    old.rmdir()


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.splitopt-old")


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))
