"""The codecs by name, splitopt's own, those of other installed packages, and the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from splitopt.errors import InputError, shown
from splitopt.extras import need_torch
from splitopt.plugins import check_call
from splitopt.training.kinds import CODEC

if TYPE_CHECKING:
    from splitopt.training.codecs.base import Codec

NONE = "none"
"""The name for values that travel as they are."""

CODECS = CODEC.own
"""Name -> ``module:class``; a new codec is one line in `splitopt.training.kinds`."""

_USAGES = {
    "read": "read(ARGUMENTS)",
    "layout": "layout(SHAPE, DTYPE)",
    "encode": "encode(TENSOR)",
    "decode": "decode(MESSAGE, SHAPE, DTYPE)",
}


def codec_names() -> list[str]:
    """Return the names of all codecs, splitopt's own first."""
    return CODEC.names()


def make_codec(text: str, field: str = "codec") -> Codec | None:
    """Read a codec: ``NAME`` or ``NAME:ARGUMENT:...``, or the user's own in place of the name.

    Parameters
    ----------
    text
        Such as ``int8``, ``int4:channel:stochastic``, ``topk:0.1`` or ``FILE.py:NAME``.
    field
        How messages call it.

    Returns
    -------
    None for ``"none"``.

    Raises
    ------
    InputError
        The name is unknown, its package or file cannot be loaded, or it takes no such arguments.
    CapabilityError
        PyTorch is not installed.
    """
    if not isinstance(text, str):
        raise InputError.at(field, f"is {shown(text)}, it must be the name of a codec")
    if text.partition(":")[0] == NONE:
        if text != NONE:
            raise InputError.at(field, f"{NONE} takes nothing behind a colon; write it alone")
        return None
    need_torch("training with a codec")
    try:
        found = CODEC.find(text)
        kind: type[Codec] = CODEC.read(found)
        made = kind.read(found.arguments)
    except InputError as error:
        raise type(error).at(field, str(error)) from None
    return made


def codec_code(text: str) -> str:
    """Return whose code a codec is: empty for one of splitopt's own or none."""
    return "" if text.partition(":")[0] == NONE else CODEC.find(text).code


def read(value: Any, name: str, place: str) -> type[Codec]:
    """Return a class of codecs; raise `InputError` for what is none, or cannot be one."""
    from splitopt.training.codecs.base import Codec

    if not (isinstance(value, type) and issubclass(value, Codec)):
        raise InputError(f"{name!r}: {place} is not a class of codecs")
    if missing := sorted(value.__abstractmethods__):
        raise InputError(
            f"{name!r}: {place} is an abstract codec, without {', '.join(missing)}; write these "
            "methods"
        )
    for method, usage in _USAGES.items():
        arguments = [object()] * (usage.count(",") + 1 + (method != "read"))
        what = f"{place}: {method} cannot be called"
        check_call(getattr(value, method), what, f"it is called as {usage}", *arguments)
    if not isinstance(getattr(value, "name", None), str):
        raise InputError(f"{place} has no name; give its class one, such as name = 'mine'")
    return value


def defines(value: Any) -> bool:
    """Whether an object of a file is meant as a codec."""
    from splitopt.training.codecs.base import Codec

    return isinstance(value, type) and issubclass(value, Codec)
