"""Reading a profile, or times for one, from whatever file holds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from splitopt.documents.json_text import parse_json
from splitopt.documents.reading import MOST_BYTES, read_text
from splitopt.documents.yaml_text import parse_yaml
from splitopt.errors import InputError
from splitopt.profiles.readers.distilp import distilp_profile, is_distilp
from splitopt.profiles.readers.graph_file import read_graph
from splitopt.profiles.readers.graph_order import EqualChain
from splitopt.profiles.readers.layer_csv import is_layer_csv, read_layer_csv
from splitopt.profiles.readers.pipeedge import (
    kind_of,
    read_pipeedge_model,
    with_pipeedge_times,
)
from splitopt.profiles.readers.piper import is_piper, piper_profile
from splitopt.profiles.readers.splitrl import is_splitrl_csv, read_splitrl
from splitopt.profiles.readers.times import with_times
from splitopt.profiles.readers.torch_trace import is_torch_trace, with_torch_trace
from splitopt.profiles.table.profile import ModelProfile


@dataclass(frozen=True)
class Said:
    """What is said of a file beside its name; see `read`, and `read_graph` for `chain`.

    Parameters
    ----------
    otherwise
        The boundaries of a graph where none are stated.
    strict
        Whether a batch is refused where the file is for none.
    """

    batch: int | None = None
    machine: str | None = None
    model: str | None = None
    boundaries: str | None = None
    unit: str | None = None
    chain: EqualChain | None = None
    otherwise: str = "cuts"
    strict: bool = False


def read(
    path: str | Path,
    onto: ModelProfile | None = None,
    *,
    batch: int | None = None,
    machine: str | None = None,
    model: str | None = None,
    boundaries: str | None = None,
    unit: str | None = None,
) -> ModelProfile:
    """Read a file by its content.

    Parameters
    ----------
    path
        A profile as JSON or as CSV with a header, a PipeDream graph, PipeEdge's ``models.yml``,
        SplitRL's blocks, a workload of Piper, DistilP's ``model_profile.json``; or times: a table
        ``MODEL__MACHINE.csv``, a Chrome trace of torch.profiler, PipeEdge's ``device_types.yml``,
        or MP-SL's workbook.
    onto
        The profile that times belong to.
    batch
        Samples in a batch: times, PipeDream's graphs, Piper's workloads and SplitRL's blocks are
        for a batch.
    machine
        The name to file times under; what follows ``__`` in the file's name by default. Of
        PipeEdge's file the device type, of MP-SL's the sheet.
    model
        Which model of PipeEdge's ``models.yml``; by default the only one there is.
    boundaries
        Of a graph (PipeDream, Piper), where it can be cut, see `read_graph`; ``"cuts"`` by default.
    unit
        Of Piper's times, ``"s"`` or ``"ms"``: there are files of both.

    Returns
    -------
    ModelProfile
        The profile, or `onto` with the times.

    Raises
    ------
    InputError
        A file that is none of these or is broken; `onto`, `batch` or `unit` that is missing; or
        `boundaries` or `unit` of a file that has none.
    """
    return read_as_said(path, onto, Said(batch, machine, model, boundaries, unit))


def read_as_said(
    path: str | Path, onto: ModelProfile | None, said: Said, most: int = MOST_BYTES
) -> ModelProfile:
    """Read a file of at most `most` bytes by its content; see `read`."""
    batch, machine = said.batch, said.machine
    if Path(path).suffix == ".xlsx":
        _expect_no_graph(path, said)
        if machine is None:
            raise InputError(f"{path}: has a sheet for each machine; name one: machine='VM'")
        profile, size = _times_of(path, onto, batch)
        return with_times(profile, path, size, machine)
    text = read_text(path, most)
    if Path(path).suffix in (".yml", ".yaml") and (kind := kind_of(parse_yaml(text, str(path)))):
        _expect_no_graph(path, said)
        if kind == "models":
            _expect_no_batch(path, said)
            return read_pipeedge_model(path, said.model)
        profile, size = _times_of(path, onto, batch)
        return with_pipeedge_times(profile, path, size, machine)
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith(("{", "[")):
        return _of_json(parse_json(text, str(path)), path, onto, said)
    if start.startswith("node"):
        return _of_graph(path, said)
    _expect_no_graph(path, said)
    return _of_table(text, path, onto, said)


def _of_json(
    document: object, path: str | Path, onto: ModelProfile | None, said: Said
) -> ModelProfile:
    """Read a profile, a trace, a workload of Piper or a profile of DistilP."""
    if is_piper(document):
        if said.batch is None or said.unit is None:
            raise InputError(
                f"{path}: is a workload of Piper; say for how many samples a micro-batch is, and "
                "what its times are in: batch=64, unit='ms', and in a scenario model: {file: ..., "
                "batch_size: 64, unit: ms}"
            )
        return piper_profile(
            document,
            path,
            said.batch,
            said.unit,
            machine=said.machine or "gpu",
            boundaries=said.boundaries or said.otherwise,
            chain=said.chain,
        )
    _expect_no_graph(path, said)
    if is_distilp(document):
        _expect_no_batch(path, said)
        return distilp_profile(document, path)
    if is_torch_trace(document):
        profile, size = _times_of(path, onto, said.batch)
        return with_torch_trace(profile, path, size, said.machine or _machine(path))
    _expect_no_batch(path, said)
    return ModelProfile.of_file(document, str(path))


def _of_graph(path: str | Path, said: Said) -> ModelProfile:
    """Read a graph of PipeDream's profiler."""
    if said.unit is not None:
        raise InputError(f"{path}: is a PipeDream graph, whose times are in ms; leave 'unit' out")
    if said.batch is None:
        raise InputError(f"{path}: is a PipeDream graph; say for how many samples: batch=128")
    return read_graph(
        path,
        said.batch,
        machine=said.machine or "gpu",
        boundaries=said.boundaries or said.otherwise,
        chain=said.chain,
    )


def _of_table(text: str, path: str | Path, onto: ModelProfile | None, said: Said) -> ModelProfile:
    """Read CSV: layers, blocks of SplitRL, or times without a header."""
    if is_layer_csv(text):
        _expect_no_batch(path, said)
        return read_layer_csv(path)
    if is_splitrl_csv(text):
        if said.batch is None:
            raise InputError(f"{path}: is SplitRL's; say for how many samples: batch=8")
        return read_splitrl(path, said.batch)
    start = text.lstrip("\ufeff \t\r\n")[:1]
    if start.isdigit() or start in "+-.":
        profile, size = _times_of(path, onto, said.batch)
        return with_times(profile, path, size, said.machine or _machine(path))
    raise InputError(
        f"{path}: is no profile that splitopt knows: JSON (splitopt-profile), CSV with a header "
        "layer,forward_flop,..., a PipeDream graph, a workload of Piper, DistilP's "
        "model_profile.json, PipeEdge's models.yml or device_types.yml, SplitRL's blocks, "
        "MODEL__MACHINE.csv or a torch.profiler trace"
    )


def _expect_no_graph(path: str | Path, said: Said) -> None:
    """Reject what is said of graphs alone."""
    for name in ("boundaries", "unit"):
        if getattr(said, name) is not None:
            files = "a graph of PipeDream or Piper" if name == "boundaries" else "Piper's workloads"
            raise InputError(f"{path}: {name!r} is for {files}, and this is none; leave it out")


def _expect_no_batch(path: str | Path, said: Said) -> None:
    """Reject a batch where numbers are for one sample, if the caller is strict."""
    if said.strict and said.batch is not None:
        raise InputError(f"{path}: is for one sample and needs no size of a batch; leave it out")


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
