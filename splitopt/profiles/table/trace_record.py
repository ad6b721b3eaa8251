"""How a profile was traced from a module, so that the module can be cut the same way again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from splitopt.documents.checks import is_whole
from splitopt.documents.fields import expect_keys, expect_text, expect_texts
from splitopt.errors import InputError, shown

METHODS = ("sequential", "fx", "export", "stages")
"""How cuts are found."""


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

    OPTIONAL: ClassVar[tuple[str, ...]] = (
        "model",
        "stages",
        "input_shape",
        "input_dtype",
        "classes",
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
            object.__setattr__(self, "input_shape", _sides(self.input_shape))
        if self.classes is not None and not is_whole(self.classes, 1):
            raise InputError.at(
                "trace.classes", f"is {shown(self.classes)}, it must be a whole number >= 1"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; what is unknown is left out."""
        document: dict[str, Any] = {"method": self.method}
        for name in self.OPTIONAL:
            value = getattr(self, name)
            if value is not None:
                document[name] = list(value) if isinstance(value, tuple) else value
        return document

    @classmethod
    def from_dict(cls, document: Any) -> TraceRecord:
        """Read what `to_dict` wrote; raise `InputError` for anything else."""
        found: Mapping[str, Any] = expect_keys(document, "trace", ("method",), cls.OPTIONAL)
        return cls(**found)


def _sides(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list | tuple) or not all(is_whole(side, 1) for side in shape):
        raise InputError.at(
            "trace.input_shape", f"is {shown(shape)}, it must be a list of whole numbers >= 1"
        )
    return tuple(shape)
