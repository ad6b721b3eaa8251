"""Reading numpy's ``.npz`` archives: plain arrays only, and no memory before it is known to fit.

What a header claims and what the archive's directory says are held against each other and against
the size of the file, so that a small file cannot become a large one.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

from splitopt.documents.reading import opened
from splitopt.errors import InputError, shown

if TYPE_CHECKING:
    import numpy as np

NUMBERS = "buif"
"""Kinds of arrays that hold truth values and numbers."""
TEXTS = "U"
MOST_PACKED = 200
"""How many times larger than its file an archive may be, once it is above `FREE_BYTES`."""
FREE_BYTES = 2**26
_SLACK = 2**16  # of a header
_LAST_CODE = 0x10FFFF  # of Unicode
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # encrypted
    NotImplementedError,  # another way of packing
    KeyError,
    OverflowError,
)


class Archive:
    """An open ``.npz`` file whose directory has been checked.

    Parameters
    ----------
    path
        Of the file, or of a pipe.
    most
        How many bytes all its arrays may have together.

    Raises
    ------
    InputError
        It is no such archive, or it unpacks to more than `most` or to far more than its size.
    """

    def __init__(self, path: str | Path, most: int):
        self.path, self.most = path, most
        self._stream = opened(path)
        try:
            self._zip = zipfile.ZipFile(self._stream)
            self._check_directory()
        except InputError:
            self._stream.close()
            raise
        except (*_BROKEN, ValueError) as error:
            self._stream.close()
            raise self._broken(error) from None

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    @property
    def names(self) -> dict[str, str]:
        """Names of the arrays, and of the files in the archive that hold them."""
        return {name.removesuffix(".npy"): name for name in self._zip.namelist()}

    def read(self, name: str, kinds: str = NUMBERS) -> np.ndarray[Any, Any]:
        """Read one array.

        Parameters
        ----------
        name
            One of `names`.
        kinds
            Kinds of numpy's types that it may hold.

        Raises
        ------
        InputError
            It is no array as numpy writes it, holds something else, or is not as large as its
            header says.
        """
        import numpy as np

        place = f"{self.path}, {shown(name)}"
        try:
            info = self._zip.getinfo(self.names[name])
            with self._zip.open(info) as stream:
                shape, dtype = _header(stream)
                size = int(dtype.itemsize) * math.prod(shape)
                if dtype.hasobject or dtype.kind not in kinds:
                    raise InputError.at(place, f"holds {shown(dtype)}; only plain numbers are read")
                if not info.file_size - _SLACK <= size <= info.file_size:
                    raise InputError.at(
                        place,
                        f"claims {size} bytes of numbers in {info.file_size} bytes of file; write "
                        "the file again",
                    )
            with self._zip.open(info) as stream:
                found: np.ndarray[Any, Any] = np.lib.format.read_array(stream, allow_pickle=False)
            if found.dtype.kind == "U" and not _is_text(found):
                raise InputError.at(place, "holds a text with characters that are none")
            return found
        except InputError:
            raise
        except (ValueError, TypeError, SyntaxError, TokenError, RecursionError) as error:
            raise InputError.at(
                place, f"is not an array as numpy writes it ({shown(str(error))})"
            ) from None
        except MemoryError:
            raise InputError.at(place, "does not fit into the memory") from None
        except _BROKEN as error:
            raise self._broken(error) from None

    def read_all(self, kinds: str = NUMBERS) -> dict[str, np.ndarray[Any, Any]]:
        """Read all arrays, see `read`."""
        return {name: self.read(name, kinds) for name in self.names}

    def _check_directory(self) -> None:
        whole = sum(info.file_size for info in self._zip.infolist())
        size = self._stream.seek(0, 2)
        if whole > self.most:
            raise InputError(
                f"{self.path}: unpacks to {_mib(whole)}, at most {_mib(self.most)} are read"
            )
        if whole > max(FREE_BYTES, MOST_PACKED * size):
            raise InputError(
                f"{self.path}: unpacks to {_mib(whole)}, more than {MOST_PACKED} times its size; "
                "write it without compression (numpy.savez)"
            )

    def _broken(self, error: Exception) -> InputError:
        return InputError(f"{self.path}: is not a whole .npz file ({shown(str(error))})")


def read_archive(
    path: str | Path, most: int, kinds: str = NUMBERS, only: Iterable[str] = ()
) -> dict[str, np.ndarray[Any, Any]]:
    """Read the arrays of an ``.npz`` file, all of them or `only` some, see `Archive`."""
    with Archive(path, most) as archive:
        wanted = list(only)
        for name in wanted:
            if name not in archive.names:
                raise InputError(f"{path}: holds no array {name!r}")
        return {name: archive.read(name, kinds) for name in wanted or archive.names}


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    from numpy.lib import format as npy

    version = npy.read_magic(stream)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the format")
    shape, _, dtype = readers[version](stream)
    return shape, dtype


def _is_text(texts: np.ndarray[Any, Any]) -> bool:
    """Report whether all characters are of Unicode; numpy stores any numbers of 32 bits."""
    import numpy as np

    if not texts.dtype.itemsize:
        return True
    codes = np.ascontiguousarray(texts.astype(texts.dtype.newbyteorder("="))).view(np.uint32)
    return not ((codes > _LAST_CODE) | ((codes >= 0xD800) & (codes < 0xE000))).any()


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
