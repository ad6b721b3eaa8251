"""The codecs by name, splitopt's own and those of other installed packages."""

from __future__ import annotations

import importlib
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.extras import need_torch

if TYPE_CHECKING:
    from splitopt.training.codecs.base import Codec

NONE = "none"
"""The name for values that travel as they are."""

CODECS: dict[str, str] = {
    "fp16": "splitopt.training.codecs.floats:Fp16",
    "bf16": "splitopt.training.codecs.floats:Bf16",
    "int8": "splitopt.training.codecs.affine:Int8",
    "int4": "splitopt.training.codecs.affine:Int4",
    "topk": "splitopt.training.codecs.topk:TopK",
}
"""Name -> ``module:class``; a new codec is one line here."""

ENTRY_POINTS = "splitopt.codecs"
"""Group of entry points through which another package brings codecs."""


def installed_codecs() -> dict[str, str]:
    """Return name -> ``module:class`` of other installed packages, without names used here."""
    own = {NONE, *CODECS}
    return {point.name: point.value for point in _entry_points() if point.name not in own}


def codec_names() -> list[str]:
    """Return the names of all codecs, splitopt's own first."""
    return [NONE, *CODECS, *installed_codecs()]


def make_codec(text: str, field: str = "codec") -> Codec | None:
    """Read a codec: ``NAME`` or ``NAME:ARGUMENT:...``.

    Parameters
    ----------
    text
        Such as ``int8``, ``int4:channel:stochastic`` or ``topk:0.1``.
    field
        How messages call it.

    Returns
    -------
    None for ``"none"``.

    Raises
    ------
    InputError
        The name is unknown, its package cannot be loaded, or it takes no such arguments.
    CapabilityError
        PyTorch is not installed.
    """
    if not isinstance(text, str):
        raise InputError.at(field, f"is {shown(text)}, it must be the name of a codec")
    name, *arguments = text.split(":")
    if name == NONE:
        if arguments:
            raise InputError.at(field, f"{NONE} takes nothing behind a colon; write it alone")
        return None
    need_torch("training with a codec")
    try:
        kind = _codec_class(name)
        made: Codec = kind.read(arguments)
    except InputError as error:
        raise InputError.at(field, str(error)) from None
    return made


def _codec_class(name: str) -> type[Codec]:
    place = CODECS.get(name) or installed_codecs().get(name)
    if place is None:
        known = codec_names()
        raise InputError(
            f"{shown(name)} is unknown here; known are {', '.join(known)}"
            f"{did_you_mean(name, known)}"
        )
    found = _loaded(name, place)
    from splitopt.training.codecs.base import Codec

    if not (isinstance(found, type) and issubclass(found, Codec)):
        raise InputError(f"{name!r}: {place} is not a class of codecs")
    return found


def _loaded(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    if name in CODECS:
        return getattr(importlib.import_module(module), attribute)
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise InputError(
            f"{name!r}: its package fails to load {place} ({type(error).__name__}: {error})"
        ) from None


@cache
def _entry_points() -> metadata.EntryPoints:
    return metadata.entry_points(group=ENTRY_POINTS)
