"""Trees as JSON text and back, with numbers and repeated keys that Python's module would lose."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.fuzz.mutate.values import Raw


class Pairs(dict[str, Any]):
    """An object that is written with some of its keys twice."""

    twice: tuple[tuple[str, Any], ...] = ()


class Lines(list[Any]):
    """Documents that stand in a line each."""


def parse(content: bytes) -> Any:
    """Read JSON or YAML; numbers that are not finite, or too long, stay as they are written.

    Raises
    ------
    ValueError
        It is neither.
    """
    text = content.decode("utf-8")
    try:
        return _loads(text)
    except ValueError:
        pass
    try:
        if text.startswith("{") and text.endswith("\n"):
            return Lines(_loads(line) for line in text[:-1].split("\n"))
    except ValueError:
        pass
    import yaml

    if text.count("*") > 3:  # aliases: what they stand for may be endless
        raise ValueError("aliases")
    try:
        found = yaml.load(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(found, dict | list):
        raise ValueError("no tree")
    return found


def write(tree: Any) -> bytes:
    """Write a tree as JSON text, which is YAML as well.

    Raises
    ------
    ValueError
        It is nested too deeply to be written.
    """
    parts: list[str] = []
    try:
        _put(tree, parts)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return "".join(parts).encode("utf-8", "surrogatepass")


def _put(value: Any, parts: list[str]) -> None:
    if isinstance(value, Raw):
        parts.append(value.text)
    elif isinstance(value, dict):
        items = [*value.items(), *getattr(value, "twice", ())]
        parts.append("{")
        for index, (key, item) in enumerate(items):
            parts.append((", " if index else "") + json.dumps(str(key)) + ": ")
            _put(item, parts)
        parts.append("}")
    elif isinstance(value, Lines):
        for item in value:
            _put(item, parts)
            parts.append("\n")
    elif isinstance(value, list):
        parts.append("[")
        for index, item in enumerate(value):
            if index:
                parts.append(", ")
            _put(item, parts)
        parts.append("]")
    else:
        parts.append(json.dumps(value, default=str))


def _loads(text: str) -> Any:
    try:
        return json.loads(text, parse_float=_number, parse_int=_whole, parse_constant=Raw)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _number(text: str) -> Any:
    value = float(text)
    return value if abs(value) < float("inf") else Raw(text)


def _whole(text: str) -> Any:
    return int(text) if len(text) < 300 else Raw(text)
