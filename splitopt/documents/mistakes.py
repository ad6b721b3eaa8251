"""What is wrong with a document: every mistake with its place, its line and its mend."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_origin

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import MOST_OF_A_MESSAGE, InputError, shown

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

MOST_MISTAKES = 8
"""Mistakes of one document that a message lists."""
_MOST_OF_A_VALUE = 60
_ROOM = MOST_OF_A_MESSAGE - 20
"""Characters of a message before the count of what is left out."""

Path = tuple[str | int, ...]
Line = Callable[[Path], int | None]
"""From the path of a place to its line in the file, None where there is no such file or place."""


class Mistake(NamedTuple):
    """One mistake: the path of its place, and what is wrong there and how to mend it."""

    path: Path
    text: str

    @classmethod
    def of(cls, message: str) -> Mistake:
        """Split ``devices[0].name: is empty`` into a place and what is wrong there."""
        found = _PLACE.match(message)
        if found is None:
            return cls((), message)
        steps = re.findall(r"\w+", found[1])
        return cls(tuple(int(step) if step.isdecimal() else step for step in steps), found[2])


class MistakesError(InputError):
    """Several mistakes at once; a validator of a whole document raises it."""

    def __init__(self, mistakes: Sequence[Mistake]):
        self.mistakes = tuple(mistakes)
        super().__init__(told(self.mistakes, None, ""))


def no_line(path: Path) -> None:
    """Return None: the document has no lines."""


def told(mistakes: Sequence[Mistake], data: Any, source: str, line: Line = no_line) -> str:
    r"""Return one message about all mistakes, each with its place.

    One mistake is one sentence. Several stand below each other, two spaces from the left, at most
    `MOST_MISTAKES` and at most what a message holds.
    """
    if len(mistakes) == 1:
        (path, text), number = mistakes[0], line(mistakes[0].path)
        at_line = f"line {number}" if number is not None else ""
        return _joined(", ".join(filter(None, (source, at_line))), place_of(path, data), text)
    message = _joined(source, f"{len(mistakes)} mistakes:")
    lines = {path: line(path) for path, _ in mistakes}
    ordered = sorted(mistakes, key=lambda mistake: lines[mistake.path] or 0)
    for done, (path, text) in enumerate(ordered):
        number = lines[path]
        at_line = f"line {number}" if number is not None else ""
        one = _joined(at_line, place_of(path, data), text)
        if done == MOST_MISTAKES or (done and len(message) + len(one) > _ROOM):
            return f"{message}\n  and {len(mistakes) - done} more"
        message += f"\n  {one}"
    return message


def mistakes_of(
    error: ValidationError, data: Any, model: type[BaseModel] | None = None
) -> list[Mistake]:
    """Return what pydantic found wrong, one mistake a place, in plain words.

    Parameters
    ----------
    error
        What validating `data` raised.
    data
        The plain data that was validated.
    model
        The class it was validated as: its fields are proposed for names that it does not know. A
        class may say more itself: ``ALSO_READ`` (further names that it takes) and ``HINTS`` (name
        -> what to do instead).
    """
    found: dict[Path, str] = {}
    proposed: set[Path] = set()
    missing: set[Path] = set()
    short: set[Path] = set()
    for one in error.errors(include_url=False):
        path = _path(one["loc"], data, one["type"])
        if one["type"] == "invalid_key":
            path = (*_path(one["loc"][:-1], data, ""), shown(one["input"], _MOST_OF_A_VALUE))
        raised = one.get("ctx", {}).get("error")
        if isinstance(raised, MistakesError):
            for inner, text in raised.mistakes:
                found.setdefault((*path, *inner), text)
        elif one["type"] == "extra_forbidden":
            text, known = _unknown(model, path)
            found.setdefault(path, text)
            proposed.add((*path[:-1], known))
        else:
            if one["type"] in ("missing", "too_short"):
                (missing if one["type"] == "missing" else short).add(path)
            found.setdefault(path, sentence(one))
    # Who writes `link` for `links` has made one mistake, not two; and a list of which no entry
    # is right is not empty.
    left_out = missing & proposed | short & {path[:n] for path in found for n in range(len(path))}
    return [Mistake(path, text) for path, text in found.items() if path not in left_out]


def place_of(path: Path, data: Any = None) -> str:
    """Return a place as messages write it, such as ``devices[0] (pi).compute``."""
    place, here = "", data
    for step in path:
        if isinstance(step, int):
            inside = isinstance(here, Sequence) and not isinstance(here, str) and step < len(here)
            here = here[step] if inside else None
            name = here.get("name") if isinstance(here, Mapping) else None
            place += f"[{step}]" + (f" ({_bare(name)})" if isinstance(name, str) else "")
        else:
            here = here.get(step) if isinstance(here, Mapping) else None
            word = step if step.isidentifier() else shown(step, _MOST_OF_A_VALUE)
            place += f".{word}" if place else word
    return place


def sentence(mistake: Mapping[str, Any]) -> str:
    """Return one mistake of pydantic's in words, without its place."""
    kind, message = mistake["type"], str(mistake["msg"])
    if kind in ("value_error", "assertion_error"):
        return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind == "invalid_key":
        return "the name of a field is a text; write it in quotes"
    if kind == "missing":
        return "this field is missing"
    if kind == "extra_forbidden":
        return "this field is unknown; check its spelling"
    if kind == "too_short":
        return "is empty; it needs at least one entry"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        message = "it must be an object"
    elif kind in ("tuple_type", "list_type"):
        message = "it must be a list"
    elif kind == "string_type":
        written = isinstance(mistake.get("input"), int | float)
        message = "it must be a text" + "; write it in quotes" * written
    elif kind in ("bool_type", "bool_parsing"):
        message = "it must be true or false"
    elif kind == "literal_error":
        expected = mistake.get("ctx", {}).get("expected", "")
        known = [part.strip("'") for part in expected.replace(" or ", ", ").split(", ")]
        value = mistake.get("input")
        return f"is {_short(value)}; it must be {expected}{did_you_mean(value, known)}"
    for theirs, ours in (
        ("Input should be a valid integer", "it must be a whole number"),
        ("Input should be a valid string", "it must be a text"),
        ("Input should be a valid", "it must be a"),
        ("Input should be", "it must be"),
        ("String should", "it must"),
    ):
        message = message.replace(theirs, ours)
    return f"is {_short(mistake.get('input'))}; {message[:1].lower()}{message[1:]}"


def _path(steps: Sequence[int | str], data: Any, kind: str) -> Path:
    """Return the steps that are in the data; others are names of types that were tried there."""
    path: list[int | str] = []
    here = data
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if _has(here, step):
            here = here[step]
        elif last and kind in ("missing", "extra_forbidden"):
            here = None
        elif isinstance(step, str) and step.isidentifier() and step not in _TYPES:
            here = None  # a short form, such as a rate for a link
        else:
            continue
        path.append(step)
    return tuple(path)


_PLACE = re.compile(r"([a-z_]+(?:\[\d+\])?(?:\.[a-z_]+(?:\[\d+\])?)*)(?: \([^)]*\))?: (.*)", re.S)
_TYPES = ("str", "int", "float", "bool", "none")


def _has(here: Any, step: int | str) -> bool:
    if isinstance(here, list | tuple):
        return isinstance(step, int) and step < len(here)
    return isinstance(here, Mapping) and step in here


def _unknown(model: type[BaseModel] | None, path: Path) -> tuple[str, str]:
    """Return what to say of a name that is unknown at a place, and the name that is proposed."""
    here = _model_at(model, path[:-1])
    if here is None or model is None:
        return "this field is unknown; check its spelling", ""
    return _unknown_in(here, str(path[-1]), model)


@lru_cache(maxsize=1000)
def _unknown_in(here: type[BaseModel], name: str, model: type[BaseModel]) -> tuple[str, str]:
    """Report it of a name in a part of a document; the same is said of all parts of a long list."""
    hints: Mapping[str, str] = getattr(here, "HINTS", {})
    if name in hints:
        return f"this field is unknown; {hints[name]}", ""
    fields = [key for key, field in here.model_fields.items() if field.annotation is not type(None)]
    known = [*fields, *getattr(here, "ALSO_READ", ())]
    if elsewhere := _places(model).get(name):
        places = " and ".join(elsewhere[:3])
        return f"this field is unknown here; it is a field of {places}", ""
    if hint := did_you_mean(name, known):
        return f"this field is unknown{hint}", hint.split("'")[1]
    return f"this field is unknown; there are {', '.join(known)}", ""


def _model_at(model: type[BaseModel] | None, path: Path) -> type[BaseModel] | None:
    """Return the class of the part of a document at a path, None for what is no such part."""
    here, is_key = model, False
    for step in path:
        if is_key:  # of a mapping, whose values are such parts
            is_key = False
        elif here is not None and isinstance(step, str):
            field = here.model_fields.get(step)
            here = None if field is None else _model_in(field.annotation)
            is_key = field is not None and _is_mapping(field.annotation)
    return here


def _is_mapping(annotation: Any) -> bool:
    """Return whether an annotation is one of a mapping, or of a mapping or nothing."""
    return get_origin(annotation) is dict or any(map(_is_mapping, get_args(annotation)))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model inside an annotation such as ``tuple[Device, ...] | None``."""
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in get_args(annotation))
    return next((found for found in inner if found is not None), None)


def _places(model: type[BaseModel], above: str = "") -> dict[str, list[str]]:
    """Return for every field of a document in which of its parts it stands."""
    found: dict[str, list[str]] = {}
    for name, field in model.model_fields.items():
        found.setdefault(name, []).append(above or "the file itself")
        part = _model_in(field.annotation)
        if part is not None:
            is_list = "tuple" in str(field.annotation) or "list" in str(field.annotation)
            place = f"{above}.{name}" if above else name
            for inner, places in _places(part, place + "[]" * is_list).items():
                found.setdefault(inner, []).extend(places)
    return found


def _joined(*parts: str) -> str:
    return ": ".join(filter(None, parts))


def _short(value: Any) -> str:
    return shown(value, _MOST_OF_A_VALUE)


def _bare(name: str) -> str:
    """Return a name without quotes, short, and without what steers a terminal."""
    return shown(name, _MOST_OF_A_VALUE)[1:-1]
