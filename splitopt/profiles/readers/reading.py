"""Reading a profile, or times for one, from whatever file holds it."""

from __future__ import annotations

from pathlib import Path

from splitopt.documents.json_text import parse_json
from splitopt.documents.reading import MOST_BYTES, read_text
from splitopt.errors import InputError
from splitopt.profiles.readers.graph_file import read_graph
from splitopt.profiles.readers.layer_csv import is_layer_csv, read_layer_csv
from splitopt.profiles.readers.times import with_times
from splitopt.profiles.readers.torch_trace import is_torch_trace, with_torch_trace
from splitopt.profiles.table.profile import ModelProfile


def read(
    path: str | Path,
    onto: ModelProfile | None = None,
    *,
    batch: int | None = None,
    machine: str | None = None,
) -> ModelProfile:
    """Read a file by its content.

    Parameters
    ----------
    path
        A profile as JSON or as CSV with a header, a PipeDream graph; or times: a table
        ``MODEL__MACHINE.csv``, or a Chrome trace of torch.profiler.
    onto
        The profile that times belong to.
    batch
        Samples in a batch: times and PipeDream's graphs are for a batch.
    machine
        The name to file times under; what follows ``__`` in the file's name by default.

    Returns
    -------
    ModelProfile
        The profile, or `onto` with the times.

    Raises
    ------
    InputError
        A file that is none of these or is broken, or `onto` or `batch` that is missing.
    """
    text = read_text(path, MOST_BYTES)
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
    if start[:1].isdigit() or start[:1] in "+-.":
        profile, size = _times_of(path, onto, batch)
        return with_times(profile, path, size, machine or _machine(path))
    raise InputError(
        f"{path}: is no profile that splitopt knows: JSON (splitopt-profile), CSV with a header "
        "layer,forward_flop,..., a PipeDream graph, MODEL__MACHINE.csv or a torch.profiler trace"
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
