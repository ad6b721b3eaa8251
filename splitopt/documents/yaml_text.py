"""YAML as its version 1.2 reads it, safely: bounded, without code, and with the lines of all.

PyYAML follows YAML 1.1, where ``0100`` is 64, ``1:40`` is 100, ``no`` is false and ``1e3`` a text.
Here only what version 1.2 calls a number, a truth value or null is one; a whole number with
leading zeros, on which the versions differ, stays a text that no number field takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from splitopt.documents.json_text import parse_json
from splitopt.errors import InputError, shown

if TYPE_CHECKING:
    import yaml

MOST_CHARACTERS = 64 * 2**20
"""Length of a text: 100,000 devices take a sixth of it."""
MOST_LEVELS = 100
"""Values inside values; the deepest scenario has six."""
MOST_FROM_ALIASES = 10_000
"""Values that aliases may stand for in a short text; in a long one, ten for each that is there."""

Path = Sequence[str | int]

_TRUTH = {"true": True, "false": False}
_PATTERNS = (
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("bool", r"true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    ("int", r"0|[-+]?[1-9][0-9]*|[-+]0|0o[0-7]+|0x[0-9a-fA-F]+", tuple("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        tuple("-+.0123456789"),
    ),
    ("merge", r"<<", ("<",)),
)
"""Tag, what a plain text of it looks like, and with what it begins; the first that fits."""


@dataclass(frozen=True)
class YamlText:
    """What a YAML text says, and where it says it."""

    document: Any
    _compose: Callable[[], yaml.Node | None]

    def line(self, path: Path) -> int | None:
        """Return the line, from 1, of the deepest part of `path` that is there."""
        node, line = self._compose(), None
        for step in path:
            found = _child(node, step)
            if found is None:
                break
            line, node = found
        return line


def parse_yaml(text: str, source: str) -> Any:
    """Return what a YAML text says; `read_yaml` raises the same errors."""
    return read_yaml(text, source).document


def read_yaml(text: str, source: str) -> YamlText:
    """Read one YAML document, or JSON, which is read as such: with its own texts and numbers.

    Raises
    ------
    InputError
        It is not YAML, repeats a key, would build objects, is too long or nested too deeply, or its
        aliases stand for far more than is written.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            f"{source}: has {len(text):,} characters, more than the {MOST_CHARACTERS:,} of a YAML "
            "text that is read"
        )
    if text.lstrip()[:1] in ("{", "["):
        with suppress(InputError):  # what is no JSON may be YAML
            return YamlText(parse_json(text, source), cache(lambda: _nodes_of_json(text)))
    return _read(text, source)


def _nodes_of_json(text: str) -> yaml.Node | None:
    """Return the nodes of a JSON text, whose tabs are all between its tokens, for their lines."""
    import yaml

    try:
        return _loader_class()(text.replace("\t", " ")).get_single_node()
    except (yaml.YAMLError, InputError):  # YAML reads some JSON not at all: then without lines
        return None


def _read(text: str, source: str) -> YamlText:
    import yaml

    loader = None
    try:
        loader = _loader_class()(text)
        root = loader.get_single_node()
        if root is None:
            return YamlText(None, lambda: None)
        _check_size(root)
        return YamlText(loader.construct_document(root), lambda: root)
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark or error.context_mark
        place = f"line {where.line + 1}, column {where.column + 1}: " if where else ""
        raise InputError(f"{source}: is not YAML ({place}{error.problem})") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(
            f"{source}: is not YAML (line {line}: the character U+{_code(error.character):04X} is "
            "not allowed)"
        ) from None
    except yaml.YAMLError as error:
        raise InputError(f"{source}: is not YAML ({str(error).splitlines()[0]})") from None
    except RecursionError:
        raise InputError(f"{source}: is nested too deeply") from None
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    except (ValueError, TypeError) as error:  # such as a number of more digits than Python reads
        raise InputError(f"{source}: holds a value that cannot be read ({error})") from None
    finally:
        if loader is not None:
            loader.dispose()


def write_yaml(document: Any) -> str:
    """Return plain data as YAML that both its versions read back as the same data."""
    import yaml

    return str(yaml.dump(document, Dumper=_dumper_class(), sort_keys=False, allow_unicode=True))


@cache
def _loader_class() -> type[yaml.SafeLoader]:
    """Build the loader at first use, since ``yaml`` is imported only then."""
    import yaml

    class Loader(yaml.SafeLoader):
        """The safe loader with the scalars of YAML 1.2, strict about keys and depth."""

        yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012
        _level = 0

        def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
            self._level += 1
            if self._level > MOST_LEVELS:
                raise InputError(f"is nested too deeply, more than {MOST_LEVELS} levels")
            try:
                return super().compose_node(parent, index)
            finally:
                self._level -= 1

        def construct_mapping(
            self, node: yaml.MappingNode, deep: bool = False
        ) -> dict[Hashable, Any]:
            seen = set()
            for key_node, _ in node.value:
                key = getattr(key_node, "value", None)
                if isinstance(key, str) and key != "<<" and key in seen:
                    line = key_node.start_mark.line + 1
                    raise InputError(f"the key {shown(key)} stands twice (line {line})")
                if isinstance(key, str):
                    seen.add(key)
            return super().construct_mapping(node, deep)

        def read_truth(self, node: yaml.ScalarNode) -> Any:
            """Return true or false, also for what a ``!!bool`` calls so."""
            text = str(self.construct_scalar(node))
            if text.lower() not in _TRUTH:
                raise InputError(f"{shown(text)} is neither true nor false")
            return _TRUTH[text.lower()]

        def read_whole(self, node: yaml.ScalarNode) -> int:
            """Return a whole number: decimal, ``0o17`` or ``0x1F``."""
            text = str(self.construct_scalar(node))
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            return int(text, base)

        def read_number(self, node: yaml.ScalarNode) -> float:
            """Return a number, infinity or NaN."""
            text = str(self.construct_scalar(node)).lower()
            return float(text.replace(".", "") if text[-3:] in ("inf", "nan") else text)

    for name, pattern, first in _PATTERNS:
        tag = f"tag:yaml.org,2002:{name}"
        Loader.add_implicit_resolver(tag, re.compile(rf"(?:{pattern})\Z"), first)
    Loader.add_constructor("tag:yaml.org,2002:bool", Loader.read_truth)
    Loader.add_constructor("tag:yaml.org,2002:int", Loader.read_whole)
    Loader.add_constructor("tag:yaml.org,2002:float", Loader.read_number)
    return Loader


@cache
def _dumper_class() -> type[yaml.SafeDumper]:
    """Build a dumper that quotes every text that either version would read as something else."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """The safe dumper, which knows the scalars of YAML 1.2 as well as those of 1.1."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
            """Write everything out."""
            return True

    for name, pattern, first in _PATTERNS:
        if name in ("int", "float"):
            tag = f"tag:yaml.org,2002:{name}"
            Dumper.add_implicit_resolver(tag, re.compile(rf"(?:{pattern})\Z"), first)
    return Dumper


def _check_size(root: yaml.Node) -> None:
    """Reject aliases that contain themselves or stand for far more than is written.

    A kilobyte of aliases of aliases can stand for 10^9 values. Nothing is built before this check.
    """
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    stack = [root]
    while stack:
        node = stack[-1]
        if id(node) in sizes:
            stack.pop()
            continue
        parts = _parts(node)
        if id(node) in open_nodes:
            sizes[id(node)] = 1 + sum(sizes[id(part)] for part in parts)
            open_nodes.discard(id(node))
            stack.pop()
            continue
        open_nodes.add(id(node))
        for part in parts:
            if id(part) in open_nodes:
                line = part.start_mark.line + 1
                raise InputError(f"the value of line {line} contains itself by an alias")
            if id(part) not in sizes:
                stack.append(part)
    whole, written = sizes[id(root)], len(sizes)
    if whole > written + max(MOST_FROM_ALIASES, 10 * written):
        raise InputError(
            f"aliases (*name) make {_counted(whole)} values of the {written:,} that are written; "
            "write them out, and alike devices with 'count'"
        )


def _parts(node: yaml.Node) -> list[yaml.Node]:
    """Return the nodes directly inside one."""
    if not isinstance(node.value, list):
        return []
    return [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]


def _child(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    """Return the line of an entry of a list or of a key, and the node there."""
    values = getattr(node, "value", None)
    if not isinstance(values, list):
        return None
    if isinstance(step, int):
        if step < len(values) and not isinstance(values[step], tuple):
            return values[step].start_mark.line + 1, values[step]
        return None
    for item in reversed(values):
        if isinstance(item, tuple) and item[0].value == step:
            return item[0].start_mark.line + 1, item[1]
    return None


def _counted(number: int) -> str:
    return f"{number:,}" if number < 10**12 else "more than 10^12"


def _code(character: Any) -> int:
    return character if isinstance(character, int) else ord(str(character))
