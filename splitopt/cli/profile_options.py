"""The options of ``splitopt profile``, by what they are about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from splitopt.cli import adapter_options as adapting
from splitopt.cli import options as shared
from splitopt.errors import InputError
from splitopt.models.adapters.choice import Adapters

Target = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="MODULE:FACTORY, FILE.py:FACTORY, hf:FOLDER, or a shipped model such as resnet18.",
    ),
]
InputShape = Annotated[
    str | None, typer.Option("--input-shape", metavar="C,H,W", help="The shape of one sample.")
]
InputType = Annotated[
    str | None,
    typer.Option("--input-dtype", metavar="TYPE", help="float32, or int64 for token ids."),
]
Example = Annotated[
    str | None,
    typer.Option(
        "--example",
        metavar="FILE.py:FUNCTION|DATA.npz",
        help="A batch to trace with, instead of a shape: what a function returns (a tensor, a "
        "tuple, a dict), or the inputs of data.",
    ),
]
Classes = Annotated[
    int | None, typer.Option("--classes", metavar="N", help="Outputs of a shipped model.")
]
Method = Annotated[
    str, typer.Option("--method", metavar="NAME", help="auto, sequential, fx, export or stages.")
]
Stages = Annotated[
    str | None,
    typer.Option(
        "--stages", metavar="A,B,...", help="Submodules that the model runs through in order."
    ),
]
MostTensors = Annotated[
    int,
    typer.Option(
        "--most-tensors",
        metavar="N",
        min=1,
        help="How many tensors may cross a cut, such as the skip connections of a U-Net.",
    ),
]
Tied = Annotated[
    str,
    typer.Option(
        "--tied",
        metavar="HOW",
        help="Cuts between layers that train one weight: refused; copies, where both sides hold "
        "one and exchange its gradients; together, where one party holds all these layers.",
    ),
]
KeepAll = Annotated[bool, typer.Option("--all", help="Keep cuts that another one beats.")]
Boundaries = Annotated[
    str,
    typer.Option(
        "--boundaries",
        metavar="KIND",
        help="What the layers are: cuts (what lies between them), or graph (every value of the "
        "graph, with its edges, for accelerators that share a model with branches).",
    ),
]
ShapesOnly = Annotated[
    bool, typer.Option("--shapes-only", help="Count on shapes: nothing is computed or compared.")
]
Formulas = Annotated[
    list[str] | None,
    typer.Option(
        "--flop",
        metavar="OPERATOR=FILE.py:FUNCTION",
        help="Declare the work of an operator; may be given several times.",
    ),
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="The name of the profile.")
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="PROFILE.json", help="Write the profile.")
]
Measure = Annotated[
    str | None,
    typer.Option("--measure", metavar="MACHINE", help="Time the layers; name this machine."),
]
Batch = Annotated[
    int, typer.Option("--batch", metavar="N", min=1, help="Samples in a timed batch.")
]
Repeats = Annotated[int, typer.Option("--repeats", metavar="N", min=1, help="Timed runs.")]
Threads = Annotated[
    int | None, typer.Option("--threads", metavar="N", min=1, help="Threads of torch.")
]
Times = Annotated[
    Path | None, typer.Option("--times", metavar="DIR", help="Write MODEL__MACHINE.csv there.")
]


@dataclass(frozen=True)
class SampleFlags:
    """What the model is run with."""

    input_shape: InputShape = None
    input_dtype: InputType = None
    example: Example = None
    classes: Classes = None


@dataclass(frozen=True)
class AdapterFlags:
    """The adapters that the model gets before it is traced."""

    adapters: adapting.Rank = None
    adapter_targets: adapting.Targets = None
    frozen_bits: adapting.FrozenBits = None

    def read(self) -> Adapters | None:
        """Return the adapters, None for none."""
        return Adapters.read(self.adapters, self.adapter_targets, self.frozen_bits)


@dataclass(frozen=True)
class CutFlags:
    """Where the model may be cut, and how its work is counted."""

    method: Method = "auto"
    stages: Stages = None
    most_tensors: MostTensors = 1
    tied: Tied = "refused"
    keep_all: KeepAll = False
    boundaries: Boundaries = "cuts"
    shapes_only: ShapesOnly = False
    flop: Formulas = None

    @property
    def device(self) -> str:
        """The device of PyTorch that the model is built on."""
        return "meta" if self.shapes_only else "cpu"

    def arguments(self) -> dict[str, Any]:
        """Return what `splitopt.profiles.trace` is called with."""
        from splitopt.profiles.tracing.costs.work.declared import read_formulas

        return {
            "stages": shared.stage_names(self.stages),
            "method": self.method,
            "most_tensors": self.most_tensors,
            "tied": self.tied,
            "keep_all": self.keep_all,
            "boundaries": self.boundaries,
            "flop_formulas": read_formulas(self.flop or ()),
        }


@dataclass(frozen=True)
class ResultFlags:
    """What the profile is called, and where it goes."""

    name: Name = None
    output: Output = None

    def check(self, target: str) -> None:
        """Reject a file that cannot be written, or that the model comes from."""
        if self.output is None:
            return
        if self.output.suffix != ".json":
            raise InputError(
                f"{self.output}: a profile is a JSON file; give a name that ends in .json"
            )
        shared.check_outputs(Path(target), self.output)


@dataclass(frozen=True)
class TimingFlags:
    """Whether the layers are timed, and how."""

    measure: Measure = None
    batch: Batch = 32
    repeats: Repeats = 20
    threads: Threads = None
    times: Times = None

    def check(self, shapes_only: bool) -> None:
        """Reject options that contradict each other, and a folder that is none."""
        if self.measure is not None and shapes_only:
            raise InputError("--measure computes, --shapes-only does not; leave one of them out")
        if self.times is not None and (self.measure is None or not self.times.is_dir()):
            raise InputError(
                f"--times {self.times}: must be a folder that exists, and needs --measure MACHINE"
            )

    def arguments(self) -> dict[str, Any]:
        """Return what `splitopt.profiles.measure` is called with beside the machine."""
        return {"batch": self.batch, "repeats": self.repeats, "threads": self.threads}
