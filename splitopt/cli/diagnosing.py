"""What is here: versions, solvers, processors, memory, caches, plug-ins, and what is wrong with it.

For people who report a bug, and for those who look why something does not run. Nothing here names a
user, a host or a secret: of paths in the user's folder only what follows ``~`` is told, of licences
whether they work, and of environment variables with tokens or licences only that they are set.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

_MARKER = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_TOLD = (
    *_THREADS,
    "NUMBA_CACHE_DIR",
    "SPLITOPT_DEBUG",
    "NO_COLOR",
    "COLUMNS",
    "CUDA_VISIBLE_DEVICES",
)
"""Variables whose values matter and hold nothing private."""
_NAMED = ("SPLITOPT_TOKEN", "GRB_LICENSE_FILE", "GRB_WLSACCESSID")
"""Variables of which only is told that they are set."""
_LITTLE_BYTES = 2**30


def diagnosis(look_at_devices: bool = False) -> dict[str, Any]:
    """Return what is here as plain data; ``problems`` are sentences that say what to do.

    Parameters
    ----------
    look_at_devices
        Whether to import PyTorch, which takes seconds, to see its devices.
    """
    packages = _packages()
    found: dict[str, Any] = {
        "format": "splitopt-doctor",
        "version": 1,
        "splitopt": _version("splitopt"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "packages": packages,
        "extras": _extras(packages),
        "solvers": _solvers(),
        "processor": _processor(),
        "devices": _devices(look_at_devices),
        "folders": _folders(),
        "environment": _environment(),
        "plugins": _plugins(),
    }
    found["problems"] = list(_problems(found))
    return found


def private(path: str | Path) -> str:
    """Return a path in which the user's folder is ``~``."""
    text, home = str(path), str(Path.home())
    inside = home != os.sep and (text == home or text.startswith(home + os.sep))
    return f"~{text[len(home) :]}" if inside else text


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _packages() -> list[dict[str, Any]]:
    """Return what splitopt declares: name, version here, extras that want it, whether it fits."""
    from packaging.requirements import InvalidRequirement, Requirement

    rows: dict[str, dict[str, Any]] = {}
    for text in metadata.requires("splitopt") or ():
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        extra = _MARKER.search(str(wanted.marker or ""))
        if wanted.name == "splitopt" or (extra and extra[1] in ("dev", "docs", "test")):
            continue
        here = _version(wanted.name)
        row = rows.setdefault(
            wanted.name,
            {"name": wanted.name, "version": here, "wanted": str(wanted.specifier), "extras": []},
        )
        row["fits"] = None if here is None else wanted.specifier.contains(here, prereleases=True)
        row["extras"] += [extra[1]] if extra else []
    return sorted(rows.values(), key=lambda row: (bool(row["extras"]), row["name"]))


def _extras(packages: list[dict[str, Any]]) -> dict[str, str]:
    """Return extra -> ``"yes"``, or which of its own packages are missing."""
    names = sorted({extra for row in packages for extra in row["extras"]})
    found = {}
    for extra in names:
        own = [row for row in packages if extra in row["extras"]]
        missing = [row["name"] for row in own if row["version"] is None]
        found[extra] = f"not installed: {', '.join(missing)}" if missing else "yes"
    return found


def _solvers() -> dict[str, str]:
    """Return back end -> its version and licence, or that it is not installed."""
    found = {}
    for name, module in (("HiGHS", "highspy"), ("SCIP", "pyscipopt"), ("CP-SAT", "ortools")):
        version = _version(module) if importlib.util.find_spec(module) else None
        found[name] = version or "not installed"
    found["Gurobi"] = _gurobi()
    return found


def _gurobi() -> str:
    """Return version and licence; its own messages name hosts, and are not passed on."""
    if importlib.util.find_spec("gurobipy") is None:
        return "not installed"
    from splitopt.solvers.backends.licence import is_size_limited, licence_problem

    version = _version("gurobipy")
    try:
        if licence_problem() is not None:
            return f"{version}, no licence works"
        return f"{version}, {'the size-limited licence' if is_size_limited() else 'licensed'}"
    except Exception as error:  # whatever a broken installation raises
        return f"{version}, does not run ({type(error).__name__})"


def _processor() -> dict[str, Any]:
    import psutil  # type: ignore[import-untyped]

    memory = psutil.virtual_memory()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": psutil.cpu_count(logical=False),
        "threads": os.cpu_count(),
        "usable": usable,
        "memory_bytes": memory.total,
        "free_memory_bytes": memory.available,
    }


def _devices(look: bool) -> dict[str, Any]:
    if importlib.util.find_spec("torch") is None:
        return {"torch": None}
    found: dict[str, Any] = {"torch": _version("torch")}
    if not look:
        return found
    try:
        import torch

        found["threads"] = torch.get_num_threads()
        found["cuda"] = [
            torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
        ]
        found["mps"] = bool(torch.backends.mps.is_available())
    except Exception as error:
        found["error"] = f"PyTorch does not load ({type(error).__name__})"
    return found


def _folders() -> list[dict[str, Any]]:
    """Return where files and machine code go, whether that can be written, and how much is free."""
    package = Path(__file__).parents[1]
    kept = package if os.access(package, os.W_OK) else Path.home() / ".cache" / "numba"
    if cache := os.environ.get("NUMBA_CACHE_DIR"):
        kept = Path(cache)
    places = [
        ("working folder", Path.cwd()),
        ("temporary files", Path(tempfile.gettempdir())),
        ("machine code", kept),
        ("package", package),
    ]
    return [{"name": name, "path": private(path), **_room(path)} for name, path in places]


def _room(path: Path) -> dict[str, Any]:
    import shutil

    there = next((one for one in (path, *path.parents) if one.exists()), None)
    if there is None:
        return {"writable": False, "free_bytes": None}
    try:
        free = shutil.disk_usage(there).free
    except OSError:
        free = None
    return {"writable": os.access(there, os.W_OK), "free_bytes": free}


def _environment() -> dict[str, str]:
    found = {name: private(os.environ[name]) for name in _TOLD if name in os.environ}
    return found | {name: "set" for name in _NAMED if name in os.environ}


def _plugins() -> list[dict[str, str]]:
    """Return the plug-ins that other packages bring, without loading what is splitopt's own."""
    from splitopt.export.registry import ENTRY_POINTS
    from splitopt.plugins import entry_points
    from splitopt.training.kinds import KINDS

    found = []
    for group in (*(kind.group for kind in KINDS), ENTRY_POINTS):
        for point in entry_points(group):
            brings = point.dist.name if point.dist is not None else "unknown"
            found.append({"kind": group.rpartition(".")[2], "name": point.name, "from": brings})
    return found


def _problems(found: dict[str, Any]) -> Iterator[str]:
    for row in found["packages"]:
        if row["version"] is None and not row["extras"]:
            yield f"{row['name']} is missing: pip install '{row['name']}{row['wanted']}'"
        elif row["fits"] is False:
            yield (
                f"{row['name']} {row['version']} is not what splitopt wants ({row['wanted']}): "
                f"pip install '{row['name']}{row['wanted']}'"
            )
    for place in found["folders"]:
        if not place["writable"] and place["name"] in ("working folder", "temporary files"):
            yield f"the {place['name']} {place['path']} cannot be written: change to another one"
        elif place["free_bytes"] is not None and place["free_bytes"] < _LITTLE_BYTES:
            yield f"the disk of the {place['name']} {place['path']} has less than 1 GiB left"
    processor = found["processor"]
    for name in _THREADS:
        text = found["environment"].get(name, "")
        if text.isdigit() and processor["usable"] and int(text) > processor["usable"]:
            yield (
                f"{name} is {text}, and {processor['usable']} processors may be used: "
                "set it to that or less, or everything gets slower"
            )
    if processor["free_memory_bytes"] < _LITTLE_BYTES:
        yield "less than 1 GiB of memory is free"
    if "error" in found["devices"]:
        yield f"{found['devices']['error']}: install it anew with pip install 'splitopt[train]'"
