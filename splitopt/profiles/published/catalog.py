"""Finding a profile by its name or its file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from splitopt.documents.reading import MOST_TEXT
from splitopt.documents.suggestions import did_you_mean
from splitopt.documents.taking import path_of
from splitopt.errors import InputError, shown
from splitopt.profiles.published.computed import LENETS, RESNETS, cpsl_lenet, imagenet_resnet
from splitopt.profiles.published.cpsl import cpsl_names, cpsl_profile
from splitopt.profiles.published.dp_mora import published_names, published_profile
from splitopt.profiles.published.iotsl import VGG16, iotsl_vgg16
from splitopt.profiles.published.measured import measured_names, measured_profile
from splitopt.profiles.published.pipedream import pipedream_names, pipedream_profile
from splitopt.profiles.published.traced import traced_names, traced_profile
from splitopt.profiles.readers.graph_order import EqualChain
from splitopt.profiles.readers.reading import Said, read_as_said
from splitopt.profiles.table.fill import Fill, check_fill
from splitopt.profiles.table.profile import ModelProfile

_ENDINGS = (".json", ".csv", ".yml", ".yaml", ".graph.txt")
"""By which a text is known as the name of a file."""


def profile_names() -> tuple[str, ...]:
    """Names of the shipped profiles."""
    measured = (*measured_names(), *pipedream_names())
    counted = (*RESNETS, *LENETS, VGG16)
    return (*published_names(), *cpsl_names(), *counted, *measured, *traced_names())


def is_graph(name: str) -> bool:
    """Whether a shipped profile was measured as a graph, of which boundaries can be chosen."""
    return name in pipedream_names()


def load_profile(
    name_or_path: str | Path,
    fill: str | Mapping[str, Fill] | None = None,
    boundaries: str = "cuts",
    chain: EqualChain | None = None,
    *,
    batch: int | None = None,
    unit: str | None = None,
) -> ModelProfile:
    """Load a shipped profile by its name, or one of your own from a file.

    Parameters
    ----------
    name_or_path
        One of `profile_names`, or a path: a `Path`, or a text that has a path separator or ends
        in ``.json``. The file holds a profile in one of the forms of `splitopt.profiles.read`.
    fill
        How to fill layers that were not measured. A text applies to every machine that has
        measured layers and others; a mapping names the way for each machine. The ways are those
        of `ModelProfile.with_fill`.
    boundaries, chain
        Of a profile that is a graph, where it can be cut: ``"cuts"`` or ``"prefixes"``, and the
        machines that its order of execution shall suit, see `splitopt.profiles.read_graph`.
    batch, unit
        Of a file, samples in the batch that it is for, and the unit of its times, where it does not
        say so itself: see `splitopt.profiles.read`.

    Raises
    ------
    InputError
        No such name, a file that cannot be read as a profile, or a fill that is not possible.
    """
    found = path_of(name_or_path, "name_or_path")
    if is_path(found):
        said = Said(batch=batch, unit=unit, chain=chain, otherwise=boundaries, strict=True)
        return profile_of_file(found, said, fill)
    if batch is not None or unit is not None:
        raise InputError("batch and unit are of a file; a shipped profile needs neither")
    return _with_fill(_find(found, boundaries, chain), fill)


def profile_of_file(
    path: str | Path, said: Said, fill: str | Mapping[str, Fill] | None = None
) -> ModelProfile:
    """Load a profile from a file in one of the forms of `splitopt.profiles.read`.

    Parameters
    ----------
    path, fill
        As for `load_profile`.
    said
        What is said of the file.
    """
    return _with_fill(read_as_said(path, None, said, MOST_TEXT), fill)


def _with_fill(profile: ModelProfile, fill: str | Mapping[str, Fill] | None) -> ModelProfile:
    """Return the profile with its gaps filled, see `load_profile`."""
    if fill is None:
        return profile
    if isinstance(fill, Mapping):
        ways = dict(fill)
    else:
        check_fill(fill)
        partly = [name for name, times in profile.machines.items() if times.measured.any()]
        ways = dict.fromkeys(partly, fill)
    for machine, how in ways.items():
        profile = profile.with_fill(machine, how)
    return profile


def unknown_profile(name_or_path: str | Path, *, brief: bool = False) -> str | None:
    """Return what is wrong with a name that no shipped profile has; None for others and for paths.

    With `brief`, the shipped names are not listed where one of them is proposed. Nothing is read
    but what the package itself holds.
    """
    text, names = os.fspath(name_or_path), profile_names()
    if is_path(name_or_path) or text in names:
        return None
    hint = did_you_mean(text, names)
    if brief and hint:
        return f"there is no profile {shown(text)}{hint}"
    return (
        f"there is no profile {shown(text)}{hint or '.'} The shipped ones "
        f"are {', '.join(names)}; a file of your own is named by a path that ends in .json"
    )


def is_path(name_or_path: str | Path) -> bool:
    """Whether it means a file: a `Path`, or a text with a separator or the ending of a profile."""
    text = os.fspath(name_or_path)
    is_file = isinstance(name_or_path, Path) or text.endswith(_ENDINGS)
    return is_file or "/" in text or os.sep in text


def _find(name_or_path: str | Path, boundaries: str, chain: EqualChain | None) -> ModelProfile:
    text = os.fspath(name_or_path)
    if (mistake := unknown_profile(name_or_path)) is not None:
        raise InputError(mistake)
    return _shipped(text, boundaries, chain) if is_graph(text) else _shipped(text)


@cache
def _shipped(name: str, boundaries: str = "cuts", chain: EqualChain | None = None) -> ModelProfile:
    """Build a shipped profile once; profiles are immutable, so it can be shared."""
    if name in RESNETS:
        return imagenet_resnet(name)
    if name in LENETS:
        return cpsl_lenet(name)
    if name == VGG16:
        return iotsl_vgg16()
    if name in cpsl_names():
        return cpsl_profile(name)
    if name in published_names():
        return published_profile(name)
    if name in pipedream_names():
        return pipedream_profile(name, boundaries, chain)
    if name in traced_names():
        return traced_profile(name)
    return measured_profile(name)
