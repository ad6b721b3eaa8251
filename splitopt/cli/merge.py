"""``splitopt merge``: trained parts of an export, put together to one model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from splitopt.cli import options as shared
from splitopt.export.merging import Average, Merged, merge_parts
from splitopt.storage.writing import check_writable


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="PARTS-DIR", help="The folder of an export, of any format.")
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="MODEL.safetensors", help="The file to write."),
    ],
    trained: Annotated[
        Path | None,
        typer.Option(
            "--trained",
            metavar="DIR",
            help="Where the weights are, PART.safetensors or CLIENT/PART.safetensors; by default "
            "in PARTS-DIR.",
        ),
    ] = None,
    clients: Annotated[
        str | None,
        typer.Option(
            "--clients", metavar="A,B,...", help="Whose models to merge; by default all clients'."
        ),
    ] = None,
    average: Annotated[
        str,
        typer.Option(
            "--average",
            metavar="HOW",
            help="samples: copies that differ weigh as many samples as the plan says; uniform: "
            "all alike.",
        ),
    ] = "samples",
    as_json: shared.AsJson = False,
) -> int:
    """Put trained parts of an export together under the model's own names, as one file.

    Example: splitopt merge parts --trained trained -o model.safetensors
    """
    check_writable(output)
    names = None if clients is None else [name.strip() for name in clients.split(",")]
    how = cast(Average, average)
    with shared.waiting("merging the parts", silent=as_json):
        merged = merge_parts(folder, output, trained=trained, clients=names, average=how)
    if as_json:
        shared.print_json(
            {
                "model": merged.model,
                "output": str(output),
                "tensors": list(merged.state),
                "averaged": list(merged.averaged),
                "clients": merged.shares,
                "files": list(merged.files),
            }
        )
    else:
        _show(merged, output)
    return 0


def _show(merged: Merged, output: Path) -> None:
    console = shared.console()
    rows = [(name, f"{100 * share:.3g} %") for name, share in merged.shares.items()]
    table = shared.table(("Client", "Share"), rows, numbers=("Share",))
    console.print(f"{merged.model} from {len(merged.files)} files of parts", highlight=False)
    console.print(table, highlight=False)
    differ = len(merged.averaged)
    averaged = f"{differ} of them averaged" if differ else "no two copies of one differ"
    console.print(f"Written to {output}: {len(merged.state)} tensors, {averaged}", highlight=False)
