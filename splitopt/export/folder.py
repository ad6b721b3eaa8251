"""Writing a folder so that it is there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from splitopt.errors import InputError

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
    """Raise `InputError` if a folder cannot be written, before any work is done."""
    target = Path(path)
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{path}: cannot be written, it is not a folder")
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
    parent = target.resolve().parent
    if not parent.is_dir():
        raise InputError(f"{path}: cannot be written, the folder {str(parent)!r} does not exist")
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".splitopt-", dir=parent))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def write_folder(path: str | Path, files: Mapping[str, bytes], force: bool = False) -> None:
    """Write files into a new folder beside the target, and put it in the target's place.

    Raises
    ------
    InputError
        The target cannot be written, or holds something and `force` is not given.
    """
    check_folder(path, force)
    target = Path(path).resolve()
    made = Path(tempfile.mkdtemp(prefix=".splitopt-", dir=target.parent))
    old = made / "old"
    new = made / "new"
    try:
        new.mkdir()
        for name, content in files.items():
            with open(new / name, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
