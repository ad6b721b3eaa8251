"""The flags of adapters, as every verb that builds a model takes them."""

from __future__ import annotations

from typing import Annotated

import typer

Rank = Annotated[
    str | None,
    typer.Option(
        "--adapters",
        metavar="RANK[:ALPHA]",
        help="Train low-rank adapters (LoRA) of linear layers, and freeze everything else.",
    ),
]
Targets = Annotated[
    str | None,
    typer.Option(
        "--adapter-targets",
        metavar="PATTERN,...",
        help="Linear layers by name or its end, such as qkv or 'blocks.*.mlp.0'; all by default.",
    ),
]
FrozenBits = Annotated[
    int | None,
    typer.Option(
        "--frozen-bits",
        metavar="8|4",
        help="Hold the frozen weights of linear layers in so many bits.",
    ),
]
