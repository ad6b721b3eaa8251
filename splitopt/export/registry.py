"""The formats by name, those that other packages bring among them, and whether each can run here.

Nothing here imports PyTorch: the formats can be listed where they cannot be written.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import CapabilityError, InputError, shown
from splitopt.extras import need_torch
from splitopt.plugins import entry_points

Writer = Callable[[Any], Mapping[str, bytes]]
"""``files(job)`` of a format: the files of the folder, by name.

It is called with a `splitopt.export.job.Job`, or a `splitopt.export.plan_job.PlanJob`."""
Takes = Literal["model", "plan"]
"""What a format is written from: a plan with its model opened and split, or the plan alone."""


@dataclass(frozen=True)
class Format:
    """A format of splitopt's own.

    Parameters
    ----------
    module
        The module that writes it, with ``files(job)``.
    writes
        What the folder holds, in a few words.
    needs
        Packages, by the names that they are imported under.
    extra
        The extra of splitopt that installs them.
    takes
        ``"model"``: ``files`` is called with a `splitopt.export.job.Job`, which needs PyTorch;
        ``"plan"``: with a `splitopt.export.plan_job.PlanJob`.
    """

    module: str
    writes: str
    needs: tuple[str, ...] = ("torch",)
    extra: str = "train"
    takes: Takes = "model"


EXPORTERS = {
    "torch": Format("splitopt.export.torch_parts", "the parts as PyTorch code, with a loader"),
    "torch-pipelining": Format(
        "splitopt.export.torch_pipelining",
        "the same, and a script that torchrun trains a pipeline with",
    ),
    "torch-export": Format(
        "splitopt.export.torch_export", "each part as a program of torch.export (.pt2), to run"
    ),
    "onnx": Format(
        "splitopt.export.onnx_parts",
        "each part as an ONNX model, to run on phones and boards",
        ("torch", "onnx", "onnxscript", "onnxruntime"),
        "onnx",
    ),
    "executorch": Format(
        "splitopt.export.executorch_parts",
        "each part as a program of ExecuTorch (.pte) for one sample, to run on phones and boards",
        ("torch", "executorch"),
        "executorch",
    ),
    "openvino": Format(
        "splitopt.export.openvino_parts",
        "each part as a model of OpenVINO (.xml with .bin), to run on Intel's processors",
        ("torch", "openvino"),
        "openvino",
    ),
    "flower": Format(
        "splitopt.export.flower",
        "an app of Flower that trains the plan in its simulation engine",
    ),
    "nvflare": Format(
        "splitopt.export.nvflare",
        "a job of NVIDIA FLARE that trains the plan in its simulator",
    ),
    "ray": Format(
        "splitopt.export.ray",
        "a program for Ray that trains fleets of thousands of simulated clients",
    ),
    "pipeedge": Format(
        "splitopt.export.pipeedge",
        "the pipeline as PipeEdge's models, device types, devices and schedule",
        (),
        "",
        "plan",
    ),
    "mp-sl": Format(
        "splitopt.export.mp_sl",
        "the pipeline as MP-SL's workbook of times and sizes, and who hosts which layers",
        ("xlsxwriter",),
        "xlsx",
        "plan",
    ),
    "plato": Format(
        "splitopt.export.plato",
        "a configuration of Plato: federated averaging, or split learning of one client",
        (),
        "",
        "plan",
    ),
    "csv": Format(
        "splitopt.export.tables.as_csv",
        "the plan as tables, one CSV file each",
        (),
        "",
        "plan",
    ),
    "json": Format(
        "splitopt.export.tables.as_json",
        "the same tables as one JSON file, with key and unit of every column",
        (),
        "",
        "plan",
    ),
    "parquet": Format(
        "splitopt.export.tables.as_parquet",
        "the same tables, one Parquet file each",
        ("pyarrow",),
        "parquet",
        "plan",
    ),
    "xlsx": Format(
        "splitopt.export.tables.as_xlsx",
        "the same tables as one workbook for spreadsheets, a sheet each",
        ("xlsxwriter",),
        "xlsx",
        "plan",
    ),
    "compose": Format(
        "splitopt.export.deployment.compose",
        "the parties as services of Docker Compose, which train the plan over connections",
        (),
        "",
        "plan",
    ),
    "kubernetes": Format(
        "splitopt.export.deployment.kubernetes",
        "the parties as jobs of a cluster, which train the plan over connections",
        (),
        "",
        "plan",
    ),
}
"""Format -> the module that writes it, and what that needs; a new format is one entry here."""

ENTRY_POINTS = "splitopt.exporters"
"""Group of entry points through which another package brings formats."""


@dataclass(frozen=True)
class Listed:
    """What is known of a format without writing it: a row of ``splitopt exporters``.

    Parameters
    ----------
    name, writes, needs
        As ``--to`` has it, what the folder holds, and the packages that it takes.
    source
        ``splitopt``, or the module of the package that brings it.
    ready
        ``"yes"``, or why it cannot be written here.
    """

    name: str
    writes: str
    needs: tuple[str, ...]
    source: str
    ready: str


def installed_exporters() -> dict[str, str]:
    """Return format -> ``module`` or ``module:object`` of other installed packages.

    They are entry points of the group `ENTRY_POINTS`, named after the format; a name that splitopt
    itself uses is left out.
    """
    return {
        point.name: point.value
        for point in entry_points(ENTRY_POINTS)
        if point.name not in EXPORTERS
    }


def exporter_names() -> list[str]:
    """Return the names of all formats, splitopt's own first."""
    return [*EXPORTERS, *installed_exporters()]


def takes_of(name: str) -> Takes:
    """Return what a format is written from; see `exporter` for what is raised."""
    installed = installed_exporters()
    _expect_known(name, installed)
    return EXPORTERS[name].takes if name in EXPORTERS else _takes(_brought(name, installed[name]))


def exporter(name: str) -> Writer:
    """Return the function ``files(job)`` of a format.

    Raises
    ------
    InputError
        There is no such format, or the package that brings it does not load.
    CapabilityError
        A package that it needs is not installed; the message says how to install it.
    """
    installed = installed_exporters()
    _expect_known(name, installed)
    if name in EXPORTERS:
        own = EXPORTERS[name]
        if "torch" in own.needs:
            need_torch(f"exporting to {name}")
        if absent := _absent(own.needs):
            raise CapabilityError(
                f"exporting to {name} needs {' and '.join(absent)}, not installed; install with: "
                f"pip install 'splitopt[{own.extra}]'"
            )
        found: Writer = importlib.import_module(own.module).files
        return found
    brought = _brought(name, installed[name])
    if _takes(brought) == "model":
        need_torch(f"exporting to {name}")
    if absent := _absent(_needs(brought)):
        raise CapabilityError(
            f"exporting to {name} needs {' and '.join(absent)}, not installed; "
            f"{_package(installed[name])}, which brings the format, says how to install it"
        )
    writer: Writer = brought.files
    return writer


def listed_exporters() -> list[Listed]:
    """Return what every format writes and needs, and whether it can be written here."""
    own = [
        Listed(name, item.writes, item.needs, "splitopt", _ready(item.needs))
        for name, item in EXPORTERS.items()
    ]
    return [*own, *(_listed(name, place) for name, place in installed_exporters().items())]


def _listed(name: str, place: str) -> Listed:
    try:
        brought = _brought(name, place)
    except InputError as error:
        return Listed(name, "unknown", (), _package(place), str(error))
    needs = _needs(brought)
    taken = ("torch", *needs) if _takes(brought) == "model" else needs
    summary = getattr(brought, "writes", None) or (inspect.getdoc(brought) or "").partition("\n")[0]
    return Listed(name, str(summary), needs, _package(place), _ready(taken))


def _brought(name: str, place: str) -> Any:
    """Return the module or object of another package that writes a format.

    Raises
    ------
    InputError
        It cannot be imported, or has no function ``files``.
    """
    module, _, attribute = place.partition(":")
    try:
        found = importlib.import_module(module)
        for step in attribute.split(".") if attribute else ():
            found = getattr(found, step)
    except Exception as error:
        raise InputError(
            f"format {name!r}: its package fails to load {place} ({type(error).__name__}: {error})"
        ) from None
    if not callable(getattr(found, "files", None)):
        raise InputError(f"format {name!r}: {place} has no function 'files(job)'")
    if getattr(found, "takes", "model") not in get_args(Takes):
        raise InputError(
            f"format {name!r}: {place} takes {shown(found.takes)}, it must be 'model' or 'plan'"
        )
    return found


def _takes(brought: Any) -> Takes:
    taken: Takes = getattr(brought, "takes", "model")
    return taken


def _expect_known(name: str, installed: Mapping[str, str]) -> None:
    if name not in EXPORTERS and name not in installed:
        known = exporter_names()
        raise InputError.at(
            "to",
            f"{shown(name)} is no format, known are {', '.join(known)}{did_you_mean(name, known)}",
        )


def _needs(brought: Any) -> tuple[str, ...]:
    given = getattr(brought, "needs", ())
    return (given,) if isinstance(given, str) else tuple(map(str, given))


def _absent(needs: tuple[str, ...]) -> list[str]:
    """Return those of some packages that are not installed."""
    return [item for item in needs if importlib.util.find_spec(item.partition(".")[0]) is None]


def _ready(needs: tuple[str, ...]) -> str:
    absent = _absent(needs)
    return f"not installed: {', '.join(absent)}" if absent else "yes"


def _package(place: str) -> str:
    return place.partition(":")[0].partition(".")[0]
