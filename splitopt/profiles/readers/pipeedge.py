"""PipeEdge's files: ``models.yml`` as a profile, and the times of ``device_types.yml`` for it.

They are of inference: there is no backward pass, and nothing comes back over a cut. Numbers of
values are for one sample, seconds for a micro-batch, and a MB or Mbit is 2^20. Form: PipeEdge's
``README_Scheduler.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from splitopt.documents.checks import is_whole
from splitopt.documents.fields import expect_keys, expect_mapping, expect_name, expect_number
from splitopt.documents.reading import read_text
from splitopt.documents.suggestions import did_you_mean
from splitopt.documents.yaml_text import parse_yaml
from splitopt.errors import InputError, shown
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.machine_times import MachineTimes
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.provenance import Provenance

MIB = 2**20
DTYPE = "torch.float32"
DTYPE_BYTES = 4
_MODEL = ("layers", "mem_MB", "parameters_in", "parameters_out")
_TIMES = ("batch_size", "dtype", "time_s")
MOST_LAYERS = 100_000


def kind_of(document: Any) -> str | None:
    """Return ``"models"`` or ``"device types"`` for the document of such a file, else None."""
    entries = list(document.values()) if isinstance(document, Mapping) else []
    if not entries or not all(isinstance(item, Mapping) for item in entries):
        return None
    keys = {key for item in entries for key in item}
    if "parameters_out" in keys:
        return "models"
    return "device types" if "model_profiles" in keys else None


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by its name
def read_pipeedge_model(path: str | Path, model: str | None = None) -> ModelProfile:
    """Read a model of a ``models.yml`` as a profile.

    Layers are called ``layer-1``, ``layer-2``, ... as the file has no names. ``mem_MB`` stands for
    the parameters, of which PipeEdge does not tell the rest apart. Work is 0, since there is none
    in the file: a machine needs times, see `with_pipeedge_times`.

    Parameters
    ----------
    path
        The file.
    model
        Which of its models; by default the only one that has layers.

    Raises
    ------
    InputError
        It is no such file, or holds several models and none is named, or one is not as PipeEdge
        has it.
    """
    source = str(path)
    models = expect_mapping(parse_yaml(read_text(path), source), source)
    name = _chosen(models, model, source)
    where = f"{source}: {shown(name)}"
    entry = expect_keys(models[name], where, _MODEL)
    count = entry["layers"]
    if not is_whole(count, 1) or count > MOST_LAYERS:
        raise InputError.at(
            f"{where}: layers", f"is {shown(count)}; give a whole number from 1 to {MOST_LAYERS:,}"
        )
    memory = _numbers(entry["mem_MB"], f"{where}: mem_MB", count) * MIB
    block = entry["parameters_out"]
    values = _numbers(block, f"{where}: parameters_out", min(count, _length(block)) or count)
    outputs = np.resize(values, count) * DTYPE_BYTES
    smashed = outputs.copy()
    smashed[-1] = 0.0
    zeros = np.zeros(count)
    return ModelProfile(
        name=expect_name(name, where),
        layers=tuple(f"layer-{number}" for number in range(1, count + 1)),
        device_forward_flop=zeros,
        device_backward_flop=zeros,
        server_forward_flop=zeros,
        server_backward_flop=zeros,
        smashed_bytes=smashed,
        gradient_bytes=zeros,
        device_model_bytes=np.cumsum(memory),
        layer_parameter_bytes=memory,
        layer_output_bytes=outputs,
        work_unit="none",
        provenance=Provenance(
            kind="measured",
            source=f"PipeEdge's file {Path(path).name}",
            notes=(
                "Of inference: no backward pass, and no gradient over a cut.",
                "mem_MB of PipeEdge, with all that a layer takes, stands for the parameters.",
            ),
        ),
    )


def with_pipeedge_times(
    profile: ModelProfile, path: str | Path, batch: int, machine: str | None = None
) -> ModelProfile:
    """Add the times of a device type in a ``device_types.yml`` to a profile.

    Parameters
    ----------
    profile
        The model; the file knows it by its name.
    path
        The file.
    batch
        The micro-batch whose times are taken; there may be several.
    machine
        The device type; by default the only one with times of the model.

    Raises
    ------
    InputError
        It is no such file, has no such device type, model or micro-batch, or times for another
        number of layers, or of another type of numbers than float32.
    """
    source = str(path)
    types = expect_mapping(parse_yaml(read_text(path), source), source)
    having = [name for name, entry in types.items() if profile.name in _profiles(entry, source)]
    if machine is not None and machine not in types:
        raise InputError(
            f"{source}: there is no device type {shown(machine)}"
            f"{did_you_mean(machine, [str(name) for name in types])}"
        )
    if len(having) != 1 if machine is None else machine not in having:
        raise InputError(
            f"{source}: times of {profile.name} are there for "
            f"{', '.join(map(str, having)) or 'no device type'}; name one of them: machine=..."
        )
    name = having[0] if machine is None else machine
    if name in profile.machines:
        raise InputError(f"profile {profile.name!r} has a machine {name!r} already")
    where = f"{source}: {shown(name)}, {profile.name}"
    seconds = _seconds(_profiles(types[name], source)[profile.name], where, batch)
    found = _numbers(seconds, f"{where}: time_s", profile.layer_count) / batch
    zeros = np.zeros(profile.layer_count)
    times = MachineTimes(found, zeros, zeros, found > 0, batch=batch)
    note = f"Times of {name} were read from {Path(path).name}, forward passes of {batch} alone."
    provenance = replace(profile.provenance, notes=(*profile.provenance.notes, note))
    machines = {**profile.machines, str(name): times}
    return replace(profile, machines=machines, provenance=provenance)


def _chosen(models: Mapping[Any, Any], model: str | None, source: str) -> Any:
    """Return the name of the model that is meant."""
    filled = [
        name for name, entry in models.items() if isinstance(entry, Mapping) and entry.get("layers")
    ]
    if model is not None and model in models:
        return model
    if model is None and len(filled) == 1:
        return filled[0]
    names = ", ".join(map(str, filled)) or "no model with layers"
    raise InputError(f"{source}: holds {names}; name one of its models: model=...")


def _profiles(entry: Any, source: str) -> Mapping[Any, Any]:
    """Return the times of a device type by model; none are there for a dummy."""
    found = entry.get("model_profiles") if isinstance(entry, Mapping) else None
    return expect_mapping({} if found is None else found, f"{source}: model_profiles")


def _seconds(entries: Any, where: str, batch: int) -> Any:
    """Return the seconds that were measured with a micro-batch."""
    if not isinstance(entries, list):
        raise InputError.at(where, f"must be a list of {', '.join(_TIMES)}, found {shown(entries)}")
    read = [expect_keys(item, where, _TIMES) for item in entries]
    for item in read:
        if item["batch_size"] == batch and item["dtype"] == DTYPE:
            return item["time_s"]
    known = ", ".join(f"{shown(item['batch_size'])} of {shown(item['dtype'])}" for item in read)
    raise InputError(
        f"{where}: has no times for a micro-batch of {batch} of {DTYPE}; it has {known or 'none'}"
    )


def _length(values: Any) -> int:
    return len(values) if isinstance(values, list) else 0


def _numbers(values: Any, where: str, count: int) -> Array:
    """Return a list of `count` numbers >= 0 as an array."""
    if not isinstance(values, list) or len(values) != count:
        found = f"{len(values)} entries" if isinstance(values, list) else shown(values)
        raise InputError.at(where, f"must be a list with {count} entries, found {found}")
    read = [expect_number(value, f"{where}[{place}]", 0) for place, value in enumerate(values)]
    return np.array(read, dtype=np.float64)
