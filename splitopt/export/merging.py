"""`merge_parts`: trained parts of an export, put together to one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from splitopt.documents.checks import check_choice, is_whole
from splitopt.documents.json_text import expect_format, read_json
from splitopt.documents.suggestions import did_you_mean
from splitopt.errors import InputError, shown
from splitopt.export.folder import MANIFEST
from splitopt.extras import need_torch
from splitopt.storage.writing import write_atomic

if TYPE_CHECKING:
    from torch import Tensor

    from splitopt.export.documents import PartsDocument

Average = Literal["samples", "uniform"]
"""By what the clients' copies of a tensor are weighted."""


@dataclass(frozen=True, eq=False)
class Merged:
    """A model that was put together from trained parts.

    Parameters
    ----------
    model
        The name of its profile.
    state
        Its parameters and buffers under the names of its state dict.
    shares
        The clients whose parts were merged, with the share that each has in an average.
    files
        The files that were read.
    averaged
        The tensors that differed between clients.
    """

    model: str
    state: dict[str, Tensor]
    shares: dict[str, float]
    files: tuple[str, ...]
    averaged: tuple[str, ...]

    def save(self, path: str | Path) -> None:
        """Write the state as a safetensors file, which ``load_state_dict`` takes when read.

        Raises
        ------
        InputError
            The file cannot be written.
        WriteError
            The disk is full or broken.
        """
        from splitopt.training.model_parts.averaging import state_bytes

        write_atomic(path, state_bytes(self.state))


def merge_parts(
    folder: str | Path,
    output: str | Path | None = None,
    *,
    trained: str | Path | None = None,
    clients: Sequence[str] | None = None,
    average: Average = "samples",
) -> Merged:
    """Put the trained parts of an export together under the names of the model.

    Nothing in the folder is executed: ``parts.json`` and safetensors files are read.

    Parameters
    ----------
    folder
        Of an export, whatever its format.
    output
        A safetensors file to write.
    trained
        Where the weights are, by default in the folder itself: ``PART.safetensors`` for a part that
        all its clients share, ``CLIENT/PART.safetensors`` for the copy of one client, as
        ``save_parts`` of the written ``parts.py`` makes them.
    clients
        Whose models to merge, by default those of all clients.
    average
        Where clients have copies that differ, they are averaged, by ``samples`` of the plan or
        ``uniform``. Whole numbers, such as counts of batches, come from the copy of most weight.

    Raises
    ------
    InputError
        The folder is no export; a file or a tensor is missing, there twice, unknown, of another
        shape or type, or not finite; the output cannot be written.
    CapabilityError
        PyTorch or safetensors is not installed.
    """
    need_torch("merging parts")
    from splitopt.export.trained import read_trained
    from splitopt.export.weights import need_safetensors

    need_safetensors("merging parts")
    check_choice("average", average, get_args(Average))
    document = _manifest(Path(folder))
    shares = _shares(document, clients, average)
    merged = read_trained(Path(folder), Path(trained or folder), document, shares)
    found = Merged(document.model.profile, merged.state, shares, merged.files, merged.averaged)
    if output is not None:
        found.save(output)
    return found


def _manifest(folder: Path) -> PartsDocument:
    """Read the manifest of an export, and see that it does not contradict itself."""
    from splitopt.documents.schemas import validated
    from splitopt.export.documents import PartsDocument

    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder}: holds no {MANIFEST}; name the folder of an export")
    found = read_json(path)
    known = found.get("format") if isinstance(found, dict) else None
    form = "splitopt-parts" if known == "splitopt-parts" else "splitopt-torch-parts"
    document = validated(PartsDocument, expect_format(found, str(path), form, 1), str(path))
    parts = [part.name for part in document.parts]
    names = [client.name for client in document.clients]
    for what, listed in (("parts", parts), ("clients", names)):
        if len(set(listed)) < len(listed):
            raise InputError.at(f"{path}: {what}", "two have the same name; export again")
    for name, (kind, *shape) in document.model.tensors.items():
        if not isinstance(kind, str) or not all(is_whole(side, 0) for side in shape):
            raise InputError.at(f"{path}: model.tensors", f"{shown(name)} has no type and shape")
    for name, own in document.model.tied.items():
        if own not in document.model.tensors:
            raise InputError.at(f"{path}: model.tied", f"{shown(name)} is tied to no tensor")
    for client in document.clients:
        for link in client.chain:
            if link.part not in parts:
                raise InputError(
                    f"{path}: {client.name} has {shown(link.part)}, which is no part; export again"
                )
    return document


def _shares(
    document: PartsDocument, clients: Sequence[str] | None, average: str
) -> dict[str, float]:
    """Return the share of each client in an average."""
    samples = {client.name: client.samples for client in document.clients}
    chosen = list(samples) if clients is None else list(dict.fromkeys(clients))
    for name in chosen:
        if name not in samples:
            raise InputError.at(
                "clients",
                f"there is no {shown(name)}; the clients are {_some(list(samples))}"
                f"{did_you_mean(name, samples)}",
            )
    if not chosen:
        raise InputError.at("clients", "is empty; name at least one, or leave it out for all")
    weights = {name: samples[name] if average == "samples" else 1 for name in chosen}
    total = sum(weights.values())
    if total == 0:
        raise InputError.at("average", "the clients have no samples; use 'uniform'")
    return {name: weight / total for name, weight in weights.items()}


def _some(names: Sequence[str], most: int = 12) -> str:
    listed = ", ".join(names[:most])
    return listed if len(names) <= most else f"{listed}, ... ({len(names)} in all)"
