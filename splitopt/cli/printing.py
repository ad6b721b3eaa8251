"""Standard output that says in one sentence why it cannot be written."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from splitopt.errors import SplitoptError, WriteError


class _Output:
    """A stream of text whose failures name it; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text."""
        with _named():
            return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        """Write texts."""
        with _named():
            self._stream.writelines(lines)

    def flush(self) -> None:
        """Write out what was kept back."""
        with _named():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # some write bytes past a console that has few characters
            raise AttributeError(name)
        return getattr(self._stream, name)


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise WriteError(f"standard output: cannot be written ({reason})") from None


@contextmanager
def printing() -> Iterator[None]:
    """Raise `WriteError` where something cannot be printed, and make any character printable.

    A console that cannot show a character shows a question mark in its place.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")
    if sys.stdout is None:
        yield
        return
    with contextlib.redirect_stdout(cast(TextIO, _Output(sys.stdout))):
        try:
            yield
        finally:
            try:
                sys.stdout.flush()
            except (OSError, SplitoptError):  # was said already
                discard(sys.stdout)


def discard(stream: TextIO) -> None:
    """Lead a broken stream to nowhere, so that the interpreter can end without a word on it."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
