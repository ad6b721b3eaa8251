"""The problems by name, and reading any of them from an instance file."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from splitopt.documents.archives import NUMBERS, TEXTS, read_archive
from splitopt.documents.json_text import read_json
from splitopt.documents.kinds import refuse_scenario_name
from splitopt.documents.suggestions import did_you_mean
from splitopt.documents.taking import path_of, take
from splitopt.errors import InputError, shown
from splitopt.problems.base import Problem, nested, read_header

PROBLEMS: dict[str, str] = {
    "cut_and_resources": "splitopt.problems.cut_and_resources:CutAndResources",
    "cluster_and_spectrum": "splitopt.problems.cluster_and_spectrum:ClusterAndSpectrum",
    "cut_and_clusters": "splitopt.problems.cut_and_clusters:CutAndClusters",
    "cut_under_uncertainty": "splitopt.problems.cut_under_uncertainty:CutUnderUncertainty",
    "pipeline_partition": "splitopt.problems.pipeline_partition:PipelinePartition",
    "common_cut": "splitopt.problems.common_cut:CommonCut",
    "generator_pairing": "splitopt.problems.generator_pairing:GeneratorPairing",
    "time_to_accuracy": "splitopt.problems.time_to_accuracy:TimeToAccuracy",
    "graph_partition": "splitopt.problems.graph_partition:GraphPartition",
    "replicated_pipeline": "splitopt.problems.replicated_pipeline:ReplicatedPipeline",
}
"""Problem name -> ``module:class``; a new problem is one line here.

What other packages have to say of a problem stands in their module of the problem's name, which
`module_of` imports: no other table lists the problems."""

WORKLOADS: dict[str, str] = {"maxFPGAs": "graph_partition"}
"""Key of other people's JSON files -> the problem whose ``from_workload`` reads them."""

MOST_UNPACKED = 2**31
"""Bytes of all arrays of an instance together."""


def problem_class(name: Any, source: str = "") -> type[Problem[Any]]:
    """Return the class of a problem by its name."""
    module, _, attribute = PROBLEMS[_registered(name, source)].partition(":")
    found: type[Problem[Any]] = getattr(importlib.import_module(module), attribute)
    return found


def module_of(package: str, problem: Any, source: str = "") -> ModuleType | None:
    """Import the module that has a problem's name in a package, such as ``splitopt.simulation``.

    Returns
    -------
    ModuleType or None
        ``None`` where the package has no such module.

    Raises
    ------
    InputError
        No problem of this name is registered.
    """
    path = f"{package}.{_registered(problem, source)}"
    return None if importlib.util.find_spec(path) is None else importlib.import_module(path)


def problems_in(package: str) -> tuple[str, ...]:
    """Return the registered problems that have a module of their name in a package, in order."""
    return tuple(
        name for name in PROBLEMS if importlib.util.find_spec(f"{package}.{name}") is not None
    )


def _registered(name: Any, source: str) -> str:
    """Return the name of a problem, or raise `InputError` that lists those there are."""
    if isinstance(name, str) and name in PROBLEMS:
        return name
    known = ", ".join(PROBLEMS)
    raise InputError.at(
        source, f"problem is {shown(name)}, known are {known}{did_you_mean(name, PROBLEMS)}"
    )


def problem_from_document(document: Any, source: str = "instance") -> Problem[Any]:
    """Build a problem from the content of an instance file."""
    name, objective, data = read_header(document, source)
    found = problem_class(name, source).from_data(data, objective, source)
    if document["version"] != found.version:
        raise InputError.at(
            source,
            f"version is {document['version']}, and its data are those of version {found.version}; "
            "state that version",
        )
    return found


ProblemLike = Problem[Any] | str | Path | Mapping[str, Any]
"""What functions take for a problem: the object, the path of its file, or its plain data."""


def as_problem(value: ProblemLike, argument: str = "problem") -> Problem[Any]:
    """Return a problem: as it is, of an instance file, or of the plain data of one.

    Raises
    ------
    InputError
        It is none of these, or cannot be read.
    """
    mends = {
        "Scenario": "splitopt.plan(scenario) answers it, and CutAndResources.from_scenario makes "
        "a problem of it",
        "Plan": "the scenario of a plan is answered by splitopt.plan(plan.scenario)",
    }
    wanted: type[Problem[Any]] = Problem  # type: ignore[type-abstract]
    return take(
        value,
        wanted,
        argument,
        load_problem,
        lambda data: problem_from_document(data, argument),
        mends,
    )


def load_problem(path: str | Path) -> Problem[Any]:
    """Read an instance file, JSON or ``.npz``, or a workload file of dnn-partitioning.

    Raises
    ------
    InputError
        The file is missing, is not what it claims to be, or is of another version.
    """
    path = path_of(path)
    refuse_scenario_name(path, "instance")
    document = _read_npz(path) if Path(path).suffix == ".npz" else read_json(path)
    for key, name in WORKLOADS.items():
        if isinstance(document, Mapping) and key in document and "format" not in document:
            read: Any = problem_class(name)
            found: Problem[Any] = read.from_workload(document, str(path))
            return found
    return problem_from_document(document, str(path))


def _read_npz(path: str | Path) -> dict[str, Any]:
    """Read the same document from numpy's archive; object arrays, that is pickles, are refused."""
    entries = read_archive(path, MOST_UNPACKED, NUMBERS + TEXTS)
    for array in entries.values():  # read-only arrays need not be copied again
        array.setflags(write=False)
        if isinstance(array.base, np.ndarray):
            array.base.setflags(write=False)
    head = ("format", "version", "problem", "objective")
    document: dict[str, Any] = {
        key: entries.pop(key).item() for key in head if key in entries and entries[key].ndim == 0
    }
    scalars = {key: value.item() if value.ndim == 0 else value for key, value in entries.items()}
    try:
        return {**document, "data": nested(scalars)}
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
