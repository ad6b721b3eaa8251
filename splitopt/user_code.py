"""Importing a user's file as ``python FILE.py`` would: what stands beside it is found.

The folder of the file is the first place where modules are looked for while it is imported, and
while what it defines is called. Files of one name in different folders do not get in each other's
way: what was imported from beside another file is set aside meanwhile.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType

_BESIDE: dict[Path, dict[str, ModuleType]] = {}
"""Folder -> the modules that were imported from it for one of its files."""


@contextmanager
def beside(file: str | Path) -> Iterator[None]:
    """Make imports find what stands beside a file, and what was imported from there before."""
    folder = Path(file).resolve().parent
    names = _importable_from(folder)
    set_aside = {
        name: module  # in a list: looking at a module may import another
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in names and _is_anothers(module, folder)
    }
    for name in set_aside:
        del sys.modules[name]
    sys.modules.update(_BESIDE.get(folder, {}))
    place = str(folder)
    sys.path.insert(0, place)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(place)
        if place not in sys.path:
            # For what functions import when they are called, behind all else.
            sys.path.append(place)
        _BESIDE[folder] = {
            name: module for name, module in list(sys.modules.items()) if _stands_in(module, folder)
        }
        for name, module in set_aside.items():
            # What the user's own program has imported stays; what other files have is kept there.
            if not any(own.get(name) is module for own in _BESIDE.values()):
                sys.modules[name] = module


def import_file(path: str | Path) -> ModuleType:
    """Run a Python file as a module of its name and give it; call what it defines in `beside`.

    Raises
    ------
    Exception
        Whatever the file raises.
    """
    target = Path(path).resolve()
    with beside(target):
        name = target.stem
        there = sys.modules.get(name)
        if name in sys.stdlib_module_names or (there is not None and not _is_of(there, target)):
            # Not to stand in for a module that others import by this name.
            name = f"{name}_{sha256(str(target).encode()).hexdigest()[:12]}"
        spec = importlib.util.spec_from_file_location(name, target)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        before = sys.modules.get(name)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            if before is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = before
            raise
        return module


def reason(error: BaseException, limit: int = 200) -> str:
    """Name an exception in a few words: its type, and the start of its message."""
    text = " ".join(str(error).split())
    short = text if len(text) <= limit else f"{text[: limit - 4].rstrip()} ..."
    return f"{type(error).__name__}: {short}" if short else type(error).__name__


def _importable_from(folder: Path) -> set[str]:
    """Return the names of modules and packages in a folder; none if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return {
                entry.name if entry.is_dir() else entry.name.removesuffix(".py")
                for entry in entries
                if entry.is_dir() or entry.name.endswith(".py")
            }
    except OSError:  # imports list it too
        return set()


def _is_anothers(module: ModuleType, folder: Path) -> bool:
    """Whether a module is a user's from elsewhere."""
    file = _file_of(module)
    return bool(file) and not file.startswith((f"{folder}{os.sep}", *_installed()))


def _stands_in(module: ModuleType, folder: Path) -> bool:
    """Whether a module was imported from a folder, and is no installed one."""
    file = _file_of(module)
    return file.startswith(f"{folder}{os.sep}") and not file.startswith(_installed())


def _is_of(module: ModuleType, file: Path) -> bool:
    return _file_of(module) == str(file)


def _file_of(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return ""
    return file if os.path.isabs(file) else os.path.abspath(file)


@cache
def _installed() -> tuple[str, ...]:
    """Return where the standard library, installed packages and splitopt are."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    given = {sysconfig.get_paths()[name] for name in names} | {str(Path(__file__).parent)}
    return tuple(f"{path}{os.sep}" for own in given for path in {own, os.path.realpath(own)})
