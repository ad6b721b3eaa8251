"""Reading a profile, or times for one, from whatever file holds it."""

from __future__ import annotations

from pathlib import Path

from splitopt.documents.json_text import parse_json
from splitopt.documents.reading import MOST_BYTES, read_text
from splitopt.documents.yaml_text import parse_yaml
from splitopt.errors import InputError
from splitopt.profiles.readers.graph_file import read_graph
from splitopt.profiles.readers.layer_csv import is_layer_csv, read_layer_csv
from splitopt.profiles.readers.pipeedge import (
    kind_of,
    read_pipeedge_model,
    with_pipeedge_times,
)
from splitopt.profiles.readers.splitrl import is_splitrl_csv, read_splitrl
from splitopt.profiles.readers.times import with_times
from splitopt.profiles.readers.torch_trace import is_torch_trace, with_torch_trace
from splitopt.profiles.table.profile import ModelProfile


def read(
    path: str | Path,
    onto: ModelProfile | None = None,
    *,
    batch: int | None = None,
    machine: str | None = None,
    model: str | None = None,
) -> ModelProfile:
    """Read a file by its content.

    Parameters
    ----------
    path
        A profile as JSON or as CSV with a header, a PipeDream graph, PipeEdge's ``models.yml``,
        SplitRL's blocks; or times: a table ``MODEL__MACHINE.csv``, a Chrome trace of
        torch.profiler, PipeEdge's ``device_types.yml``, or MP-SL's workbook.
    onto
        The profile that times belong to.
    batch
        Samples in a batch: times, PipeDream's graphs and SplitRL's blocks are for a batch.
    machine
        The name to file times under; what follows ``__`` in the file's name by default. Of
        PipeEdge's file the device type, of MP-SL's the sheet.
    model
        Which model of PipeEdge's ``models.yml``; by default the only one there is.

    Returns
    -------
    ModelProfile
        The profile, or `onto` with the times.

    Raises
    ------
    InputError
        A file that is none of these or is broken, or `onto` or `batch` that is missing.
    """
    if Path(path).suffix == ".xlsx":
        if machine is None:
            raise InputError(f"{path}: has a sheet for each machine; name one: machine='VM'")
        profile, size = _times_of(path, onto, batch)
        return with_times(profile, path, size, machine)
    text = read_text(path, MOST_BYTES)
    if Path(path).suffix in (".yml", ".yaml") and (kind := kind_of(parse_yaml(text, str(path)))):
        if kind == "models":
            return read_pipeedge_model(path, model)
        profile, size = _times_of(path, onto, batch)
        return with_pipeedge_times(profile, path, size, machine)
    return _of_text(text, path, onto, batch, machine)


def _of_text(
    text: str, path: str | Path, onto: ModelProfile | None, batch: int | None, machine: str | None
) -> ModelProfile:
    """Read JSON, CSV or a graph; see `read`."""
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith(("{", "[")):
        if is_torch_trace(parse_json(text, str(path))):
            profile, size = _times_of(path, onto, batch)
            return with_torch_trace(profile, path, size, machine or _machine(path))
        return ModelProfile.load(path)
    if start.startswith("node"):
        if batch is None:
            raise InputError(f"{path}: is a PipeDream graph; say for how many samples: batch=128")
        return read_graph(path, batch, machine=machine or "gpu")
    if is_layer_csv(text):
        return read_layer_csv(path)
    if is_splitrl_csv(text):
        if batch is None:
            raise InputError(f"{path}: is SplitRL's; say for how many samples: batch=8")
        return read_splitrl(path, batch)
    if start[:1].isdigit() or start[:1] in "+-.":
        profile, size = _times_of(path, onto, batch)
        return with_times(profile, path, size, machine or _machine(path))
    raise InputError(
        f"{path}: is no profile that splitopt knows: JSON (splitopt-profile), CSV with a header "
        "layer,forward_flop,..., a PipeDream graph, PipeEdge's models.yml or device_types.yml, "
        "SplitRL's blocks, MODEL__MACHINE.csv or a torch.profiler trace"
    )


def _times_of(
    path: str | Path, onto: ModelProfile | None, batch: int | None
) -> tuple[ModelProfile, int]:
    if onto is None or batch is None:
        raise InputError(
            f"{path}: holds times only; give the profile that they belong to and the size of the "
            "batch: read(path, profile, batch=128)"
        )
    return onto, batch


def _machine(path: str | Path) -> str:
    return Path(path).stem.rpartition("__")[2]
