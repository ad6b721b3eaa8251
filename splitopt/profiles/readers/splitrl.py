"""SplitRL's ``MODEL_block_metrics_batch8.csv``: work, parameters and activations of each block.

Work and activations are of a whole batch, a G is 10^9 operations with 2 for a multiply-accumulate,
and a MB is 2^20 bytes of float32. All numbers are rounded to four digits behind the point. The
published tables end before the classifier.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from splitopt.documents.checks import is_whole
from splitopt.documents.csv_tables import number, read_table, rows_of
from splitopt.errors import InputError, shown
from splitopt.profiles.readers.counted import inference_profile
from splitopt.profiles.table.profile import ModelProfile

COLUMNS = ("Block", "FLOPs (G)", "Param Memory (MB)", "Activation Size (MB)")
_UNITS = np.array([1e9, 2**20, 2**20])


def is_splitrl_csv(text: str) -> bool:
    """Whether a text starts with the header of such a file."""
    try:
        header = rows_of(text.lstrip().partition("\n")[0], "")
    except InputError:  # no CSV at all
        return False
    return bool(header) and set(COLUMNS[1:]) <= {cell.strip() for cell in header[0].cells}


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by its name
def read_splitrl(path: str | Path, batch: int) -> ModelProfile:
    """Read such a file as a profile, with blocks ``block-0``, ``block-1``, ... as layers.

    The file is of inference. The backward pass is taken to be twice the forward pass, and the
    gradient over a cut as large as the activations; the profile calls both guesses.

    Parameters
    ----------
    path
        The file.
    batch
        Samples in the batch that its work and activations are for; its name says it.

    Raises
    ------
    InputError
        A column that is missing or unknown, a cell that is no number >= 0, blocks that are not
        0, 1, 2, ... in turn, or a batch that is no whole number >= 1.
    """
    if not is_whole(batch, 1):
        raise InputError.at("batch", f"is {shown(batch)}; give a whole number >= 1")
    table = read_table(path, COLUMNS)
    rows: list[list[float]] = []
    for row, (block, *cells) in table.cells(*COLUMNS):
        if block != str(len(rows)):
            raise InputError.at(
                table.place(row, COLUMNS[0]),
                f"is {shown(block)}; blocks stand in turn, and this is {len(rows)}",
            )
        places = [table.place(row, column) for column in COLUMNS[1:]]
        rows.append([number(cell, place, 0) for cell, place in zip(cells, places, strict=True)])
    work, parameters, outputs = (np.array(rows) * _UNITS).T
    work, outputs = work / batch, outputs / batch
    name = Path(path).name.partition("_block_metrics")[0].removesuffix(".csv")
    layers = [f"block-{place}" for place in range(len(rows))]
    source = f"SplitRL's file {Path(path).name}"
    return inference_profile(name, layers, work, parameters, outputs, source)
