"""Files of trained parts: found, held against the manifest, and averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from splitopt.documents.reading import unreadable
from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.export.documents import PartsDocument
from splitopt.export.weights import is_finite, stored_tensors
from splitopt.export.written.loader import folder_of
from splitopt.training.model_parts.averaging import average

SUFFIX = ".safetensors"


@dataclass(frozen=True, eq=False)
class MergedState:
    """Tensors of a model, the files that they come from, and which of them were averaged."""

    state: dict[str, Tensor]
    files: tuple[str, ...]
    averaged: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Expected:
    """What a manifest says of the tensors of a model and its parts."""

    document: PartsDocument

    @cached_property
    def names(self) -> list[str]:
        """The names of the model's state dict."""
        model = self.document.model
        left_out = set(model.not_saved)
        return [*(name for name in model.tensors if name not in left_out), *model.tied]

    @cached_property
    def of_part(self) -> dict[str, list[str]]:
        """The tensors of every part."""
        return {
            part.name: [name for name in self.names if _is_below(name, set(part.takes))]
            for part in self.document.parts
        }

    @cached_property
    def chains(self) -> dict[str, list[str]]:
        """The parts of every client, each once."""
        return {
            client.name: list(dict.fromkeys(link.part for link in client.chain))
            for client in self.document.clients
        }

    def check(self, path: Path, name: str, value: Tensor) -> None:
        """Raise `InputError` if a tensor has another shape or type, or a number that is none."""
        model = self.document.model
        own = model.tied.get(name, name)
        kind, *shape = model.tensors[own]
        if list(value.shape) != shape:
            raise InputError(
                f"{path}: {shown(name)} has the shape {tuple(value.shape)} and the model's has "
                f"{tuple(shape)}; these are weights of another model"
            )
        found = str(value.dtype).removeprefix("torch.")
        if found != kind and not (value.is_floating_point() and "float" in str(kind)):
            raise InputError(
                f"{path}: {shown(name)} is of type {found} and the model's is of {kind}; these are "
                "weights of another model"
            )
        if own not in model.not_finite and not is_finite(value):
            raise InputError(
                f"{path}: {shown(name)} holds numbers that are not finite; train this part again, "
                "or merge the others with --clients"
            )


def read_trained(
    folder: Path, trained: Path, document: PartsDocument, shares: Mapping[str, float]
) -> MergedState:
    """Read the parts of some clients and average what differs.

    Parameters
    ----------
    folder
        The export; tensors that no part holds are in its own weights.
    trained
        Where the files of the parts are.
    document
        The manifest.
    shares
        The clients, with the weight of each.

    Raises
    ------
    InputError
        See `splitopt.export.merging.merge_parts`.
    """
    expected = Expected(document)
    files = find_files(trained, expected, list(shares))
    rest = _held_by_none(folder, expected)
    read: dict[Path, dict[str, Tensor]] = {}
    states = []
    for client, own in files.items():
        for part, path in own.items():
            if path not in read:
                read[path] = _read_part(path, part, expected)
        states.append(_state_of_client(own, read))
        lacking = [name for name in expected.names if name not in states[-1] | rest]
        if lacking:
            raise InputError(
                f"{folder}: no part of {client} holds {shown(lacking[0])}, which others have; "
                "export again"
            )
    state, averaged = dict[str, Tensor](), []
    for name in expected.names:
        if name in rest:
            state[name] = rest[name]
            continue
        copies = [item[name] for item in states]
        state[name], differ = _mean(name, copies, list(shares.values()))
        averaged += [name] * differ
    for name, own_name in document.model.tied.items():
        if not torch.equal(state[name], state[own_name]):
            raise InputError(
                f"{trained}: {shown(name)} and {shown(own_name)} are one tensor in the model and "
                "have different values here; save the part as a whole"
            )
    return MergedState(state, tuple(map(str, read)), tuple(averaged))


def find_files(trained: Path, expected: Expected, clients: list[str]) -> dict[str, dict[str, Path]]:
    """Return the file of every part of every client.

    Raises
    ------
    InputError
        One is missing, is there for all clients and for one of them, or is of no part or client.
    """
    folders = {folder_of(client): client for client in expected.chains}
    common = _files_in(trained, list(expected.of_part), "the export")
    common.pop("weights", None)
    own: dict[str, dict[str, Path]] = {}
    for place in _folders_in(trained):
        client = folders.get(place.name)
        if client is None:
            raise InputError(
                f"{place}: holds weights, and there is no client of that name"
                f"{did_you_mean(place.name, folders)}; name a folder of trained parts with "
                "--trained"
            )
        own[client] = _files_in(place, expected.chains[client], client)
    found: dict[str, dict[str, Path]] = {client: {} for client in clients}
    for client in clients:
        for part in expected.chains[client]:
            paths = [files[part] for files in (own.get(client, {}), common) if part in files]
            if not paths:
                raise InputError(
                    f"{trained}: {part} of {client} is missing, neither "
                    f"{folder_of(client)}/{part}{SUFFIX} nor {part}{SUFFIX} is there; add it, or "
                    "name with --clients whose models to merge"
                )
            if len(paths) > 1:
                raise InputError(
                    f"{paths[0]}: {part} of {client} is there twice, also for all clients as "
                    f"{paths[1]}; keep one of them"
                )
            found[client][part] = paths[0]
    return found


def _files_in(place: Path, parts: list[str], whose: str) -> dict[str, Path]:
    """Return the files of parts in a folder."""
    found = {}
    for path in _entries(place):
        if not path.name.endswith(SUFFIX) or path.is_dir():
            continue
        part = path.name.removesuffix(SUFFIX)
        if part not in parts and part != "weights":
            raise InputError(
                f"{path}: {whose} has no part {shown(part)}; it has {', '.join(parts)}"
                f"{did_you_mean(part, parts)}"
            )
        found[part] = path
    return found


def _folders_in(place: Path) -> list[Path]:
    """Return the folders in a folder that hold weights."""
    return [
        path
        for path in _entries(place)
        if path.is_dir() and any(entry.name.endswith(SUFFIX) for entry in _entries(path))
    ]


def _entries(place: Path) -> list[Path]:
    try:
        return sorted(place.iterdir())
    except OSError as error:
        raise unreadable(place, error) from None


def _read_part(path: Path, part: str, expected: Expected) -> dict[str, Tensor]:
    """Read the file of a part, which has its tensors and no others."""
    found, wanted = stored_tensors(path), expected.of_part[part]
    for name in wanted:
        if name not in found:
            raise InputError(
                f"{path}: {shown(name)} of {part} is missing; save the part as a whole"
            )
        expected.check(path, name, found[name])
    for name in found:
        if name not in wanted:
            raise InputError(
                f"{path}: holds {shown(name)}, which is no tensor of {part}"
                f"{did_you_mean(name, wanted)}"
            )
    return found


def _state_of_client(
    files: Mapping[str, Path], read: Mapping[Path, Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Return the model of one client."""
    state: dict[str, Tensor] = {}
    homes: dict[str, Path] = {}
    for path in files.values():
        for name, value in read[path].items():
            if name in state and not torch.equal(state[name], value):
                raise InputError(
                    f"{path}: {shown(name)} has another value than in {homes[name]}, and the model "
                    "has it once"
                )
            state[name] = value
            homes[name] = path
    return state


def _held_by_none(folder: Path, expected: Expected) -> dict[str, Tensor]:
    """Return the tensors that no part uses, as the export has them."""
    held = {name for names in expected.of_part.values() for name in names}
    rest = [name for name in expected.names if name not in held]
    if not rest:
        return {}
    file = expected.document.weights
    if file is None:
        raise InputError(
            f"{folder}: no part uses {shown(rest[0])}, which the model has; export with --weights, "
            "so that its value is there"
        )
    path = folder / Path(file).name
    found = stored_tensors(path)
    for name in rest:
        if name not in found:
            raise InputError(f"{path}: {shown(name)} is missing; export again")
        expected.check(path, name, found[name])
    return {name: found[name] for name in rest}


def _mean(name: str, values: list[Tensor], shares: list[float]) -> tuple[Tensor, bool]:
    """Return the weighted average of the copies of a tensor, and whether they differ.

    Copies that are alike are taken as they are, so that nothing is rounded.
    """
    first = values[0]
    if any(value.dtype != first.dtype for value in values):
        kinds = sorted({str(value.dtype).removeprefix("torch.") for value in values})
        raise InputError(
            f"{shown(name)}: the clients have it in different types ({', '.join(kinds)}); save all "
            "parts in one"
        )
    if all(value is first or torch.equal(value, first) for value in values):
        return first, False
    return average([{name: value} for value in values], shares)[name], True


def _is_below(name: str, takes: set[str]) -> bool:
    """Whether a tensor is among what a part takes, or in a submodule that it takes."""
    steps = name.split(".")
    return "" in takes or any(".".join(steps[:end]) in takes for end in range(1, len(steps) + 1))
