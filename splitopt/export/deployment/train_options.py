"""Options of ``splitopt train`` that all parties of a deployment share."""

from __future__ import annotations

import shlex

from splitopt.errors import InputError, shown

OWN = frozenset(
    {
        "--wire", "--rank", "--world-size", "--master", "--listen", "--listen-port", "--token-file",
        "--tls-cert", "--tls-key", "--tls-ca", "--no-tls", "--namespaces", "--fed-server",
        "--csv", "--plot", "--turns-csv", "--save-model", "--timeline", "--checkpoint", "--resume",
        "--replan", "--actual-rates", "--time-noise", "--smoothing", "--json",
    }
)  # fmt: skip
"""What the services themselves say, each its own."""
DATA = "/data"
"""Where a container finds data."""


def shared_options(text: str) -> tuple[str, ...]:
    """Return the options as arguments.

    Raises
    ------
    InputError
        The text has an open quote or no options, an option that services give themselves, or names
        a file which no container has.
    """
    try:
        found = tuple(shlex.split(text))
    except ValueError as error:
        raise InputError.at("train", f"is {shown(text)}, which cannot be read ({error})") from None
    if found and not found[0].startswith("--"):
        raise InputError.at(
            "train", f"begins with {shown(found[0])}, it must be options such as '--lr 0.1'"
        )
    for item in found:
        name = item.partition("=")[0]
        if name in OWN:
            raise InputError.at("train", f"has {name}, which the services give themselves; drop it")
        value = item.partition("=")[2] or item
        if value.partition(":")[0].endswith(".py"):
            raise InputError.at(
                "train",
                f"names the file {shown(value)}, which the image has not; install it there as a "
                "module and name MODULE:NAME",
            )
    return found


def value_of(options: tuple[str, ...], name: str) -> str | None:
    """Return the last value that an option is given, None if it is not."""
    value = None
    for place, item in enumerate(options):
        own, sign, text = item.partition("=")
        if own == name:
            value = text if sign else "".join(options[place + 1 : place + 2])
    return value


def reads_data(options: tuple[str, ...]) -> str | None:
    """Return whose data containers are given: ``own``, ``shared``, or None where none is needed.

    Raises
    ------
    InputError
        Every party has data of its own, and there is no path to it.
    """
    data = value_of(options, "--data") or ""
    below = data.rpartition(":")[2].startswith(DATA)
    if value_of(options, "--partition") == "own":
        if not below:
            raise InputError.at(
                "train",
                f"has --partition own, and needs --data {DATA}/FILE: what each party has there",
            )
        return "own"
    return "shared" if below else None
