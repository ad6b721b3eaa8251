"""How a profile was traced from a module, so that the module can be cut the same way again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from splitopt.documents.checks import is_whole
from splitopt.documents.fields import expect_keys, expect_text, expect_texts
from splitopt.errors import InputError, shown
from splitopt.models.adapters.choice import Adapters
from splitopt.profiles.table.tied import TiedRecord

METHODS = ("sequential", "fx", "export", "stages")
"""How cuts are found."""


@dataclass(frozen=True)
class InputRecord:
    """One of several inputs of a model.

    Parameters
    ----------
    shape, dtype
        Of one sample.
    name
        The argument that it is; None where inputs go by position.

    Raises
    ------
    InputError
        A value that is none of these.
    """

    shape: tuple[int, ...]
    dtype: str
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _sides(self.shape, "trace.inputs.shape"))
        expect_text(self.dtype, "trace.inputs.dtype")
        if self.name is not None:
            expect_text(self.name, "trace.inputs.name")

    def __str__(self) -> str:
        """Return shape and type in words, such as ``3 x 32 x 32 float32``."""
        return f"{' x '.join(map(str, self.shape)) or 'one'} {self.dtype}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        named = {} if self.name is None else {"name": self.name}
        return {**named, "shape": list(self.shape), "dtype": self.dtype}


@dataclass(frozen=True)
class TraceRecord:
    """The model that a profile is of, and how its cuts were found.

    Parameters
    ----------
    method
        A name in `METHODS`.
    model
        How a command line named the model: a shipped network, ``hf:FOLDER``, ``MODULE:FACTORY``
        or ``FILE.py:FACTORY``; None for a module that was given in Python. It is never imported
        because it stands here, only proposed.
    stages
        Names of the submodules that were declared as stages; None for other methods, for the
        model's own ``split_stages()``, and for stages that are functions.
    input_shape, input_dtype
        Of one sample, where the model takes one tensor.
    classes
        The width of a shipped network's output, where it was asked for.
    adapters
        The adapters that the model was given after it was built; None where there are none, or the
        module came with them.
    most_tensors
        How many tensors may cross a cut, where they may be several.
    inputs
        What the model takes, in the order of its arguments, where it takes several tensors or one
        by name.
    tied
        The weights that layers on both sides of cuts train, where such cuts were asked for; None
        where they are refused.

    Raises
    ------
    InputError
        A value that is none of these.
    """

    method: str
    model: str | None = None
    stages: tuple[str, ...] | None = None
    input_shape: tuple[int, ...] | None = None
    input_dtype: str | None = None
    classes: int | None = None
    adapters: Adapters | None = None
    most_tensors: int | None = None
    inputs: tuple[InputRecord, ...] | None = None
    tied: TiedRecord | None = None

    OPTIONAL: ClassVar[tuple[str, ...]] = (
        "model",
        "stages",
        "input_shape",
        "input_dtype",
        "classes",
        "adapters",
        "most_tensors",
        "inputs",
        "tied",
    )

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError.at(
                "trace.method", f"is {shown(self.method)}; choose one of {', '.join(METHODS)}"
            )
        for name in ("model", "input_dtype"):
            if getattr(self, name) is not None:
                expect_text(getattr(self, name), f"trace.{name}")
        if self.stages is not None:
            object.__setattr__(self, "stages", expect_texts(self.stages, "trace.stages"))
            if self.method != "stages" or not self.stages:
                raise InputError.at(
                    "trace.stages", "are names of submodules, of a model whose method is 'stages'"
                )
        if self.input_shape is not None:
            object.__setattr__(self, "input_shape", _sides(self.input_shape, "trace.input_shape"))
        if self.inputs is not None:
            object.__setattr__(self, "inputs", _inputs(self.inputs))
        for name, least in (("classes", 1), ("most_tensors", 2)):
            number = getattr(self, name)
            if number is not None and not is_whole(number, least):
                raise InputError.at(
                    f"trace.{name}", f"is {shown(number)}, it must be a whole number >= {least}"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; what is unknown is left out."""
        document: dict[str, Any] = {"method": self.method}
        for name in self.OPTIONAL:
            value = getattr(self, name)
            if name == "inputs" and value is not None:
                document[name] = [item.to_dict() for item in value]
            elif value is not None:
                document[name] = list(value) if isinstance(value, tuple) else value
        for name in ("adapters", "tied"):
            if getattr(self, name) is not None:
                document[name] = getattr(self, name).to_dict()
        return document

    @classmethod
    def from_dict(cls, document: Any) -> TraceRecord:
        """Read what `to_dict` wrote; raise `InputError` for anything else."""
        found: dict[str, Any] = {**expect_keys(document, "trace", ("method",), cls.OPTIONAL)}
        if found.get("adapters") is not None:
            found["adapters"] = Adapters.from_dict(found["adapters"])
        if found.get("tied") is not None:
            found["tied"] = TiedRecord.from_dict(found["tied"])
        return cls(**found)


def _sides(shape: Any, field: str) -> tuple[int, ...]:
    if not isinstance(shape, list | tuple) or not all(is_whole(side, 1) for side in shape):
        raise InputError.at(field, f"is {shown(shape)}, it must be a list of whole numbers >= 1")
    return tuple(shape)


def _inputs(found: Any) -> tuple[InputRecord, ...]:
    """Read what a model takes; raise `InputError` for what is no list of inputs, or names twice."""
    if not isinstance(found, list | tuple) or not found:
        raise InputError.at("trace.inputs", f"are {shown(found)}, they must be a list of inputs")
    read = tuple(
        item
        if isinstance(item, InputRecord)
        else InputRecord(**expect_keys(item, "trace.inputs", ("shape", "dtype"), ("name",)))
        for item in found
    )
    names = [item.name for item in read]
    if len(set(names)) != len(names) if all(names) else any(names):
        raise InputError.at(
            "trace.inputs",
            "must all have names, each of its own, or none where they go by position",
        )
    return read
