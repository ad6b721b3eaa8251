"""The kinds of files that splitopt writes, and what to do with one that is given for another."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown

_PREFIX = "splitopt-"
_KINDS = {
    "scenario": ("a scenario", "which 'splitopt plan' and 'splitopt compare' take"),
    "plan": (
        "a plan",
        "which 'splitopt report', 'simulate', 'train', 'validate' and 'export' take",
    ),
    "instance": ("an instance of a problem", "which 'splitopt solve' takes"),
    "result": ("a result", "which 'splitopt solve' wrote"),
    "profile": ("a model profile", "which a scenario names as 'model: {file: FILE}'"),
    "machine": ("a machine model", "which a scenario names as 'machine_model: FILE'"),
    "timeline": ("a timeline", "which 'splitopt simulate' wrote"),
    "history": ("the history of a training", "which 'splitopt train' wrote"),
    "comparison": ("a comparison of schemes", "which 'splitopt compare' wrote"),
    "tradeoff": ("what privacy costs", "which 'splitopt tradeoff' wrote"),
    "robust-curve": ("what protection costs", "which 'splitopt tradeoff --robust' wrote"),
    "pareto": ("a set of mixes of machines", "which 'splitopt plan --pareto' wrote"),
    "checkpoint": ("a checkpoint", "whose folder is named by --checkpoint"),
    "benchmark-library": ("a library of instances", "which 'splitopt bench' takes"),
    "parts": ("a manifest of parts", "whose folder 'splitopt merge' takes"),
    "torch-parts": ("a manifest of parts", "whose folder 'splitopt merge' takes"),
    "torch-pipelining": ("a manifest of stages", "which 'splitopt export' wrote"),
}
"""Format without its prefix -> what such a file is, and which verb it is for."""

_HEAD = re.compile(r"""^\s*\{?\s*["']?format["']?\s*:\s*["']?splitopt-([a-z-]+)""", re.MULTILINE)


def wrong_kind(document: Mapping[str, Any], wanted: str) -> str:
    """Report what a document is, if it is not of the format `wanted`, and what it is for."""
    found = document.get("format")
    known, there = _kind(wanted), _kind(found)
    if found is None:
        about = f"; {known[0]} begins with it" if known else ""
        return f"has no 'format: {wanted}'{about}, and with 'version: 1'"
    if known and there:
        return f"is {there[0]}, {there[1]}; here {known[0]} is needed (format {wanted!r})"
    formats = [_PREFIX + kind for kind in _KINDS]
    return f"format is {shown(found)}, expected {wanted!r}{did_you_mean(found, formats)}"


def kind_of_text(text: str) -> str:
    """Report what a text that is no JSON is, by a line ``format: splitopt-...``, or nothing."""
    found = _HEAD.search(text[:4000])
    kind = _KINDS.get(found[1]) if found else None
    return f"; it is {kind[0]}, {kind[1]}" if kind else ""


def refuse_scenario_name(path: str | os.PathLike[str], wanted: str = "plan") -> None:
    """Raise `InputError` where the name of a shipped scenario stands for another file.

    Parameters
    ----------
    path
        What was given for a file.
    wanted
        ``plan`` or ``instance``.

    Raises
    ------
    InputError
        It is the name of a shipped scenario, or nearly one, and no file; the message says what to
        do with that scenario.
    """
    name = os.fspath(path)
    if not isinstance(name, str) or not name.replace("-", "").isalnum() or os.path.exists(name):
        return
    folder = Path(__file__).parent.parent / "scenario" / "data"
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    mends = {
        "plan": "here a plan is needed, which 'splitopt plan {name} -o plan.json' makes",
        "instance": "here an instance file (.json or .npz) is needed; splitopt.plan('{name}') "
        "answers the scenario, and from_scenario('{name}') of a problem's class makes a problem",
    }
    if name in names:
        raise InputError(f"{name}: is a shipped scenario; {mends[wanted].format(name=name)}")
    if near := did_you_mean(name, names):
        raise InputError(f"{name}: there is no such file{near} That is a shipped scenario")
    if wanted == "instance":
        raise InputError(
            f"{name}: there is no such file; an instance file ends in .json or .npz, and the "
            f"scenarios that splitopt.plan takes by name are {', '.join(names)}"
        )


def _kind(name: Any) -> tuple[str, str] | None:
    if not isinstance(name, str) or not name.startswith(_PREFIX):
        return None
    return _KINDS.get(name.removeprefix(_PREFIX))
