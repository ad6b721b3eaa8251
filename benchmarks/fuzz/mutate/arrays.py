"""Spoiling archives of numpy arrays: shapes, types, values, what a header claims."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from random import Random
from tokenize import TokenError
from typing import Any

import numpy as np

from benchmarks.fuzz.mutate.bombs import zip_bomb
from benchmarks.fuzz.mutate.raw import spoil_bytes
from benchmarks.fuzz.mutate.values import CANARY

_MOST = 2**18
_MOST_UNPACKED = 2**26
_EXTREMES = (0, -1, 1, np.nan, np.inf, -np.inf, 1e308, -1e308, 1e-300, 2.0**30, 2.0**63, 10.0**8)
_UNREADABLE = (
    ValueError, OSError, EOFError, TypeError, OverflowError, MemoryError, SyntaxError, TokenError
)  # fmt: skip
_NO_ARCHIVE = (
    zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, NotImplementedError, RuntimeError
)  # fmt: skip
_TYPES = ("f4", "f2", "i8", "i4", "u1", "u8", "?", "c16", "U5", "S3", "M8[s]", ">f8", "V4")


class Canary:
    """What touches a file when it is unpickled."""

    def __reduce__(self) -> Any:
        """Return the call that a pickle would make."""
        return Path.touch, (Path(CANARY),)


def spoil_arrays(content: bytes, rng: Random) -> bytes:
    """Change one array, or one member of the archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(info.file_size for info in archive.infolist()) > _MOST_UNPACKED:
                return spoil_bytes(content, rng)  # a bomb already
            members = {name: archive.read(name) for name in archive.namelist()}
    except _NO_ARCHIVE:
        return spoil_bytes(content, rng)
    if not members:
        return spoil_bytes(content, rng)
    name = rng.choice(list(members))
    if rng.random() < 0.02:
        return zip_bomb(name)
    kind = rng.randrange(12)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[rng.choice(("extra.npy", "x", "data/allowed.npy", "../up.npy"))] = members.pop(name)
    elif kind == 2:
        members[name] = spoil_bytes(members[name], rng)
    elif kind == 3:
        members[name] = _claimed(members[name], rng)
    else:
        try:
            array = np.load(io.BytesIO(members[name]), allow_pickle=False)
            members[name] = _saved(_other(array, rng))
        except _UNREADABLE:
            members[name] = spoil_bytes(members[name], rng)
    packed = zipfile.ZIP_DEFLATED if rng.random() < 0.3 else zipfile.ZIP_STORED
    return _archive(members, packed)


def _archive(members: dict[str, bytes], packed: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packed) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)  # with a fixed date
            info.compress_type = packed
            archive.writestr(info, data)
    return stream.getvalue()


def _saved(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _claimed(data: bytes, rng: Random) -> bytes:
    """Claim in the header another shape than there is data for."""
    shape = rng.choice(("(1000000000000,)", "(2147483648, 2)", "(-1,)", "(0,)", "()", "(3.5,)"))
    place, end = data.find(b"(", 10, 200), data.find(b")", 10, 200)
    if place < 0 or end < 0:
        return data[: len(data) // 2]
    old = data[place : end + 1]
    new = shape.encode().ljust(len(old))
    header = data[:place] + new + data[end + 1 :]
    return header[: place + len(old)] + header[place + len(new) :]


def _other(array: Any, rng: Random) -> Any:
    kind = rng.randrange(11)
    if kind == 0:
        return np.array(array.reshape(-1)[0] if array.size else 0)
    if kind == 1:
        return array.reshape(-1)[:0]
    if kind == 2:
        return array[..., None]
    if kind == 3:
        return np.zeros((0, *array.shape), array.dtype)
    if kind in (4, 5):
        with np.errstate(all="ignore"):
            return array.astype(rng.choice(_TYPES))
    if kind == 6:
        return np.array([Canary()], dtype=object)
    if kind == 7:
        return np.zeros(_MOST, array.dtype)
    if kind == 8:
        return array.T if array.ndim > 1 else array.repeat(2)
    changed = np.array(array, copy=True)
    flat = changed.reshape(-1)
    if flat.dtype.kind not in "fiub" or not flat.size:
        return np.array(rng.choice(_EXTREMES))
    place = slice(None) if rng.random() < 0.3 else rng.randrange(flat.size)
    with np.errstate(all="ignore"):
        flat[place] = np.asarray(rng.choice(_EXTREMES)).astype(flat.dtype)
    return changed
