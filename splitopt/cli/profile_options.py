"""The options of ``splitopt profile``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
