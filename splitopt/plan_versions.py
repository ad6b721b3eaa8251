"""Versions of plan files: which are read, and how older ones become the present one.

``version`` is the major version and ``minor`` the minor one, 0 where it is absent. A minor version
adds fields that older releases can do without; a major version changes what is there already.

- The same major version is read, whatever its minor version: an older one is migrated step by step,
  and of a newer one the fields of the envelope that are unknown here are left out.
- A newer major version is refused, and named.
- Files are written in the present version only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from splitopt.documents.checks import is_whole
from splitopt.documents.json_text import expect_format
from splitopt.errors import InputError, shown

FORMAT = "splitopt-plan"
VERSION = 1
MINOR = 1

Digest = Callable[[Any, str], str]


def at_present_version(
    document: Any, source: str, known: Collection[str], digest: Digest
) -> dict[str, Any]:
    """Return a plan document as the present version writes it.

    Parameters
    ----------
    document
        Plain data of a plan file of any version.
    source
        The file, for messages.
    known
        The fields of the envelope that are known here.
    digest
        Returns the digest of a part, given its place for messages.

    Raises
    ------
    InputError
        It is no plan, or one of a newer major version.
    """
    found = dict(expect_format(document, source, FORMAT, VERSION))
    minor = found.get("minor", 0)
    if not is_whole(minor, 0):
        raise InputError.at(
            f"{source}: minor", f"is {shown(minor)}, it must be a whole number >= 0"
        )
    for step in range(minor, MINOR):
        found = _STEPS[step](found, source, digest)
    if minor > MINOR:
        found = {key: value for key, value in found.items() if key in known}
        hashes = found.get("hashes")
        if isinstance(hashes, Mapping):
            found["hashes"] = {key: hashes[key] for key in hashes if key in found}
    return {**found, "minor": MINOR}


def _with_hash_of_result(found: dict[str, Any], source: str, digest: Digest) -> dict[str, Any]:
    """Version 1.1 seals the result as well; there is nothing to hold that of 1.0 against."""
    hashes = found.get("hashes")
    if not isinstance(hashes, Mapping) or "result" in hashes or "result" not in found:
        return found  # the schema says what is wrong
    return {**found, "hashes": {**hashes, "result": digest(found["result"], f"{source}: result")}}


_STEPS: tuple[Callable[[dict[str, Any], str, Digest], dict[str, Any]], ...] = (
    _with_hash_of_result,
)
"""Entry ``m`` turns a document of minor version m into one of m + 1."""
