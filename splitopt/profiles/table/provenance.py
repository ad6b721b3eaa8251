"""Where the numbers of a profile come from."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from splitopt.documents.fields import expect_keys, expect_mapping, expect_text, expect_texts
from splitopt.errors import InputError, shown

GUESS = "guess"
STATES = (GUESS, "published", "computed", "measured")
"""How the numbers of one column of a profile are known."""


@dataclass(frozen=True)
class Provenance:
    """The origin of a profile, and what was done to the numbers since.

    Parameters
    ----------
    kind
        ``published`` (printed in a paper), ``computed`` (counted from the layers), ``measured``
        (times taken on machines) or ``user``.
    source
        A sentence: the paper, the rule of counting, the data set.
    url, license
        Where the source can be read and under which licence its data is passed on, if known.
    notes
        What a careful reader has to know: conventions, oddities of the source, guesses.
    fills
        One sentence for every gap that `ModelProfile.with_fill` filled.
    columns
        Column of the profile -> how its numbers are known, one of `STATES`; what is not in it is
        not known.
    """

    kind: str
    source: str
    url: str | None = None
    license: str | None = None
    notes: tuple[str, ...] = ()
    fills: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)

    KINDS: ClassVar[tuple[str, ...]] = ("published", "computed", "measured", "user")

    def __post_init__(self) -> None:
        if self.kind not in self.KINDS:
            raise InputError.at(
                "provenance.kind", f"is {shown(self.kind)}; choose one of {', '.join(self.KINDS)}"
            )
        expect_text(self.source, "provenance.source")
        for name in ("url", "license"):
            if getattr(self, name) is not None:
                expect_text(getattr(self, name), f"provenance.{name}")
        for name in ("notes", "fills"):
            texts = expect_texts(getattr(self, name), f"provenance.{name}")
            object.__setattr__(self, name, texts)
        for name, state in expect_mapping(self.columns, "provenance.columns").items():
            if state not in STATES:
                raise InputError.at(
                    f"provenance.columns.{name}",
                    f"is {shown(state)}; choose one of {', '.join(STATES)}",
                )
        object.__setattr__(self, "columns", dict(self.columns))

    def check(self, columns: Container[str]) -> None:
        """Raise `InputError` if it says something of a column that is not there."""
        for name in self.columns:
            if name not in columns:
                raise InputError.at(
                    f"provenance.columns.{name}", "is no column that the profile has; remove it"
                )

    def with_fill(self, sentence: str) -> Provenance:
        """Return a copy that records one more fill."""
        return replace(self, fills=(*self.fills, sentence))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; what is unknown or empty is left out."""
        document: dict[str, Any] = {"kind": self.kind, "source": self.source}
        for name in ("url", "license"):
            if getattr(self, name) is not None:
                document[name] = getattr(self, name)
        for name in ("notes", "fills"):
            if getattr(self, name):
                document[name] = list(getattr(self, name))
        if self.columns:
            document["columns"] = dict(self.columns)
        return document

    @classmethod
    def from_dict(cls, document: Any) -> Provenance:
        """Read what `to_dict` wrote; raise `InputError` for anything else."""
        optional = ("url", "license", "notes", "fills", "columns")
        found = expect_keys(document, "provenance", ("kind", "source"), optional)
        return cls(**found)
