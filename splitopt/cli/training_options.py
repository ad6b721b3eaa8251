"""The options of training, and what they turn into; shared by the verbs that train."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from splitopt.training.options import Options

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|MODULE:FACTORY",
        help="A shipped network or your own; by default the one the plan's profile is named after.",
    ),
]
Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="NAME|PATH",
        help="digits, mnist, fashion-mnist, cifar10, NAME:FOLDER or an .npz file.",
    ),
]
Partition = Annotated[
    str,
    typer.Option(
        "--partition",
        metavar="HOW",
        help="iid, classes:K, dirichlet:ALPHA, blocks:B or file:PATH.json.",
    ),
]
SampleCounts = Annotated[
    str,
    typer.Option(
        "--samples",
        metavar="plan|data",
        help="As many for each device as planned, or all data in these proportions.",
    ),
]
SchemeName = Annotated[
    str | None,
    typer.Option(
        "--scheme", metavar="NAME", help="Train the same devices by another scheme, to compare."
    ),
]
Match = Annotated[
    str,
    typer.Option(
        "--match",
        metavar="structure|names",
        help="The model must be that of the plan's table, or only have its layers by name.",
    ),
]
TorchDevice = Annotated[
    str, typer.Option("--device", metavar="NAME", help="cpu, cuda, cuda:N or auto.")
]
Rounds = Annotated[
    int | None,
    typer.Option("--rounds", metavar="N", help="At most so many; those of the plan by default."),
]
LearningRate = Annotated[
    float, typer.Option("--lr", metavar="X", help="Learning rate of all parts.")
]
ServerLearningRate = Annotated[
    float | None,
    typer.Option("--server-lr", metavar="X", help="Of the parts that are not on devices."),
]
Optimizer = Annotated[str, typer.Option("--optimizer", metavar="NAME", help="sgd, adam or adamw.")]
Momentum = Annotated[float, typer.Option("--momentum", metavar="X", help="Of sgd.")]
WeightDecay = Annotated[
    float, typer.Option("--weight-decay", metavar="X", help="Of all optimizers.")
]
BatchNorm = Annotated[
    str,
    typer.Option(
        "--batch-norm",
        metavar="HOW",
        help="Running statistics of copies: average, local or frozen.",
    ),
]
OptimizerState = Annotated[
    str,
    typer.Option(
        "--optimizer-state",
        metavar="HOW",
        help="Momentum and moments at the start of a round: reset, keep or average.",
    ),
]
CutGradient = Annotated[
    str,
    typer.Option(
        "--cut-gradient",
        metavar="HOW",
        help="Of a cluster: mean, as CPSL has it, or rescaled to each device's own mean.",
    ),
]
Weights = Annotated[
    str, typer.Option("--weights", metavar="BY", help="Averages by samples, or uniform.")
]
Order = Annotated[
    str, typer.Option("--order", metavar="HOW", help="Of the clients: given, or shuffled.")
]
Batched = Annotated[
    bool,
    typer.Option("--batched", help="Train clients that are alike by one call of every layer."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in that folder.")]
StateFolder = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="DIR", help="Keep the state of the training there."),
]
CheckpointEvery = Annotated[
    int, typer.Option("--checkpoint-every", metavar="K", help="After every so many rounds.")
]
EvaluateEvery = Annotated[
    int, typer.Option("--evaluate-every", metavar="K", help="Test after every so many rounds.")
]
TargetAccuracy = Annotated[
    float | None,
    typer.Option("--target-accuracy", metavar="X", help="Stop when a test reaches it, 0 to 1."),
]
Patience = Annotated[
    int | None,
    typer.Option("--patience", metavar="K", help="Stop after K tests without a new best one."),
]


def options_of(*, lr: float, server_lr: float | None, **others: Any) -> Options:
    """Turn the flags of optimizers and policies into `Options`; a wrong one is an `InputError`."""
    from splitopt.extras import need_torch

    need_torch("training")
    from splitopt.training.options import Options

    return Options(learning_rate=lr, server_learning_rate=server_lr, **others)
