"""What a process of a run needs to prepare its part: plain data, in a file for a new process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitopt.documents.json_text import parse_json
from splitopt.documents.reading import read_text
from splitopt.errors import InputError
from splitopt.plans import Plan
from splitopt.storage.writing import write_atomic
from splitopt.training.options import Options
from splitopt.training.prepare import Prepared, prepare

if TYPE_CHECKING:
    from torch import nn

_ARGUMENTS = ("partition", "samples", "seed", "match_by", "stages")


@dataclass(frozen=True, eq=False)
class Job:
    """The arguments of `splitopt.training.prepare.prepare`.

    Parameters
    ----------
    plan
        What is trained.
    model
        The name of a shipped network, ``MODULE:FACTORY``, or None; a module only for processes
        that are not started from a file.
    data
        As for `splitopt.training.data.load_data`.
    options
        Optimizers and policies.
    arguments
        The other ones.
    source
        How messages call the plan.

    Raises
    ------
    InputError
        Clients are to be batched, who are processes of their own here.
    """

    plan: Plan
    model: nn.Module | str | None
    data: Any
    options: Options | None
    arguments: Mapping[str, Any]
    source: str = "plan"

    def __post_init__(self) -> None:
        if self.options is not None and self.options.batched:
            raise InputError.at(
                "batched", "every device is a process of its own on the wire; train without"
            )

    def prepare(self) -> Prepared:
        """Prepare the training, as every process of it does."""
        return prepare(
            self.plan,
            self.model,
            self.data,
            options=self.options,
            source=self.source,
            **self.arguments,
        )

    def save(self, folder: Path, prepared: Prepared) -> Path:
        """Write the job into a folder, for other processes on this machine.

        Raises
        ------
        InputError
            The model or one of its stages is an object, which other processes cannot build.
        """
        if self.model is not None and not isinstance(self.model, str):
            raise InputError.at(
                "model",
                "is an object, but every process builds its own; name it as MODULE:FACTORY or "
                "FILE.py:FACTORY",
            )
        if not all(isinstance(stage, str) for stage in self.arguments.get("stages") or ()):
            raise InputError.at(
                "stages", "holds objects, but every process builds its own model; name submodules"
            )
        data = self.data
        if not isinstance(data, str):
            data = str(_save_data(folder, prepared))
        elif Path(data).exists():
            data = str(Path(data).resolve())
        document = {
            "plan": self.plan.to_dict(),
            "model": self.model,
            "data": data,
            "options": None if self.options is None else asdict(self.options),
            "arguments": dict(self.arguments),
            "source": self.source,
        }
        path = folder / "job.json"
        write_atomic(path, json.dumps(document, allow_nan=False))
        return path

    @classmethod
    def load(cls, path: str | Path) -> Job:
        """Read a job that `save` wrote."""
        found = parse_json(read_text(path), str(path))
        options = found["options"]
        return cls(
            Plan.from_dict(found["plan"], found["source"]),
            found["model"],
            found["data"],
            None if options is None else Options(**options),
            {name: value for name, value in found["arguments"].items() if name in _ARGUMENTS},
            found["source"],
        )


def _save_data(folder: Path, prepared: Prepared) -> Path:
    """Write data that were given as objects where other processes find them."""
    import numpy as np

    data, path = prepared.data, folder / "data.npz"
    with path.open("wb") as stream:
        np.savez(
            stream,
            x_train=data.train_inputs.cpu().numpy(),
            y_train=data.train_targets.cpu().numpy(),
            x_test=data.test_inputs.cpu().numpy(),
            y_test=data.test_targets.cpu().numpy(),
        )
    return path
