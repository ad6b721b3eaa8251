"""Writing a folder so that it is there whole or not at all, at every instant.

Linux and macOS exchange two folders in one step. Elsewhere, and on file systems that cannot, an
earlier folder is set aside for a moment under a name of its own (`_aside`): a process that is
killed in between leaves it there, and the next export puts it back before it does anything else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from splitopt.errors import InputError, shown
from splitopt.storage.outputs import cannot_write
from splitopt.storage.swapping import exchange
from splitopt.storage.temporary import sync_folder, temporary_folder

MANIFEST = "parts.json"
"""The manifest of parts."""
PLAN_MANIFEST = "export.json"
"""That of an export of a plan alone; other programs write files of this name, too."""
PLAN_FORMAT = "splitopt-export"
"""What it says by which it is known."""
MANIFESTS = (MANIFEST, PLAN_MANIFEST)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_WRITTEN = frozenset(
    {
        MANIFEST,
        "parts.py",
        "model.py",
        "README.md",
        "weights.safetensors",
        "pipeline.json",
        "train_pipeline.py",
        "run.py",
        "__pycache__",
    }
)
"""What an export may hold, whatever stands in it.

Only a folder with nothing else in it is ever replaced, but for files that are bit for bit what its
manifest says an export wrote.
"""


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
        others = _others(target, there)
        if there and (others or not set(MANIFESTS) & set(there)):
            what = f"holds {others[0]!r}, which no export wrote" if others else "is no export"
            raise InputError(f"{path}: {what}, so it is not replaced; choose another folder")


def _others(target: Path, there: list[str]) -> list[str]:
    """Return the names in a folder that no export wrote there."""
    others = [name for name in there if name not in _WRITTEN]
    if not others:
        return []
    found = {name: _manifest(target / name) for name in MANIFESTS if name in there}
    if found.get(PLAN_MANIFEST, {}).get("format") == PLAN_FORMAT:
        others.remove(PLAN_MANIFEST)
    digests: dict[str, Any] = {}
    for manifest in found.values():
        files = manifest.get("files")
        digests |= files if isinstance(files, dict) else {}
    return [name for name in others if not _is_written(target / name, digests.get(name))]


def _manifest(path: Path) -> Mapping[str, Any]:
    """Return what a manifest says; nothing if it is damaged."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_written(path: Path, digest: Any) -> bool:
    """Whether a file has a digest."""
    if digest is None or path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as stream:
        return str(digest) == hashlib.file_digest(stream, "sha256").hexdigest()


def check_files(files: Any, source: str) -> None:
    """Raise an error if what a format gives are not contents by plain names of files.

    Raises
    ------
    InputError
        A name leads out of the folder or is hidden, or a content is no bytes.
    """
    if not isinstance(files, Mapping):
        raise InputError(f"{source}: gives {type(files).__name__}; give contents by names of files")
    for name, content in files.items():
        if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name):
            raise InputError(f"{source}: gives the file {shown(name)}, which is no plain file name")
        if not isinstance(content, bytes):
            raise InputError(
                f"{source}: gives {type(content).__name__} as the content of {name!r}; give bytes"
            )


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
        if not _others(old, [entry.name for entry in old.iterdir()]):
            _discard(old)
    elif any((old / name).is_file() for name in MANIFESTS):
        old.rename(target)


def _discard(old: Path) -> None:
    """Remove an earlier export, its manifest last: until then it says what else is to go."""
    with suppress(OSError):  # what is in its place is whole, and the next export tries again
        for entry in sorted(old.iterdir(), key=lambda entry: entry.name in MANIFESTS):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        old.rmdir()


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.splitopt-old")


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))
