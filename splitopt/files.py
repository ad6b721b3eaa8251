"""Reading and writing files safely: strict JSON and YAML in, atomic writes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from splitopt import outputs
from splitopt.errors import InputError, SplitoptError
from splitopt.outputs import cannot_write
from splitopt.temporary import temporary_file


def read_text(path: str | Path) -> str:
    """Read a UTF-8 text file; raise `InputError` in one sentence when that is not possible."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not a file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)})") from None


def parse_json(text: str, source: str) -> Any:
    """Parse strict JSON: NaN, Infinity and repeated keys are refused."""

    def constant(name: str) -> NoReturn:
        raise InputError(f"{source}: {name} is not a number that JSON allows; use a finite number")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InputError(f"{source}: the key {twice!r} stands twice in one object")
        return found

    try:
        return json.loads(text, parse_constant=constant, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{source}: is not JSON (line {error.lineno}, column {error.colno}: {error.msg})"
        ) from None
    except RecursionError:
        raise InputError(f"{source}: is nested too deeply") from None
    except InputError:
        raise
    except ValueError as error:  # such as an integer of more digits than Python converts
        raise InputError(f"{source}: holds a number that cannot be read ({error})") from None


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML with the safe loader; repeated keys are refused."""
    import yaml

    class Loader(yaml.SafeLoader):
        """The safe loader, strict about repeated keys."""

        def construct_mapping(
            self, node: yaml.MappingNode, deep: bool = False
        ) -> dict[Hashable, Any]:
            seen = set()
            for key_node, _ in node.value:
                key = getattr(key_node, "value", None)
                if isinstance(key, str) and key != "<<" and key in seen:
                    line = key_node.start_mark.line + 1
                    raise InputError(f"{source}: the key {key!r} stands twice (line {line})")
                if isinstance(key, str):
                    seen.add(key)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark
        place = f"line {where.line + 1}, column {where.column + 1}: " if where else ""
        raise InputError(f"{source}: is not YAML ({place}{error.problem})") from None
    except yaml.YAMLError as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{source}: is not YAML ({first})") from None
    except RecursionError:
        raise InputError(f"{source}: is nested too deeply") from None
    except InputError:
        raise
    except (ValueError, TypeError) as error:  # such as a date that does not exist
        raise InputError(f"{source}: holds a value that cannot be read ({error})") from None


def expect_format(document: Any, source: str, name: str, version: int) -> Mapping[str, Any]:
    """Check the ``format`` and ``version`` of a document and return it as a mapping."""
    if not isinstance(document, Mapping):
        raise InputError(f"{source}: must be an object with the keys 'format' and 'version'")
    if document.get("format") != name:
        found = document.get("format")
        raise InputError(f"{source}: format is {found!r}, expected {name!r}")
    found = document.get("version")
    if isinstance(found, bool) or found != version:
        raise InputError(
            f"{source}: version is {found!r}, this release of splitopt reads version {version}"
        )
    return document


def check_writable(path: str | Path) -> None:
    """Raise an error if `path` cannot be written, before any work is done.

    Raises
    ------
    InputError
        It is a folder, stands in none, or may not be written.
    WriteError
        The disk is full or broken.
    """
    try:
        _check_writable(path)
    except (OSError, ValueError) as error:
        if isinstance(error, SplitoptError):
            raise
        raise cannot_write(path, error) from None


def _check_writable(path: str | Path) -> None:
    target = Path(path)
    place = outputs.place_of(target)
    if target.is_dir():
        raise InputError(f"{path}: cannot be written, it is a folder")
    if outputs.is_stream(target):
        outputs.check_stream(target)
        return
    if not place.parent.is_dir():
        raise InputError(
            f"{path}: cannot be written, the folder {str(place.parent)!r} does not exist"
        )
    with temporary_file(place.parent):
        pass


def write_atomic(path: str | Path, content: str | bytes) -> None:
    """Write a file so that a crash leaves either the old content or the new, never a part.

    When this returns, the content is on the disk and not only on its way there. A link stays a link
    to what is written. Devices and pipes, such as ``/dev/stdout``, are written into: they cannot be
    replaced. A named pipe must have a reader within `outputs.READER_S` seconds.

    Raises
    ------
    InputError
        It is a folder, stands in none, or may not be written.
    WriteError
        The disk is full or broken, or nobody reads from the pipe.
    """
    # What is no character at all (half a pair from JSON) must not lose the rest.
    data = content.encode(errors="replace") if isinstance(content, str) else content
    try:
        _check_writable(path)
        target = outputs.place_of(Path(path))
        if outputs.is_stream(Path(path)):
            outputs.write_into(path, data)
            return
        with temporary_file(target.parent) as made:
            made.stream.write(data)
            made.become(target, outputs.mode_for(target))
    except (OSError, ValueError) as error:
        if isinstance(error, SplitoptError):
            raise
        raise cannot_write(path, error) from None


def write_rows(path: str | Path, document: Any, table: Callable[[], str]) -> None:
    """Write what has rows as JSON, or as the CSV that `table` gives when the path ends so."""
    is_csv = Path(path).suffix == ".csv"
    write_atomic(path, table() if is_csv else json.dumps(document, allow_nan=False) + "\n")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
