"""Table 1: the regression curves of section 3.4, fitted again to the networks themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.papers.dp_mora.published import MODELS, published
from benchmarks.papers.tables import Cell, Table
from splitopt.problems.base import FloatArray
from splitopt.profiles.counting.layers import Tensor
from splitopt.profiles.published.architectures import resnet
from splitopt.profiles.published.computed import RESNETS

_MIB = 2.0**20
_FLOAT32 = 4
# A training pass is a forward pass and a backward pass of twice its work.
_PASSES = 3


def measured(model: str) -> dict[str, FloatArray]:
    """Compute the columns (L,) that Table 1 fits, from the network's layers.

    ``psi_m`` in MiB: parameters of the device part. ``phi_f`` and ``phi_b`` in GMAC: training work
    of the device part and of the rest. ``psi_s`` in MiB: activations at the cut; the first cut is
    taken in front of the pooling, whose output is a quarter of its input.
    """
    units = resnet(RESNETS[f"{model}-imagenet"], Tensor(3, 224, 224), 1000)
    work = _PASSES * np.cumsum([unit.operations for unit in units]) / 1e9
    smashed = np.array([_FLOAT32 * unit.output_elements for unit in units]) / _MIB
    smashed[0] *= 4
    return {
        "psi_m": np.cumsum([_FLOAT32 * unit.parameters for unit in units]) / _MIB,
        "phi_f": work,
        "phi_b": work[-1] - work,
        "psi_s": smashed,
    }


def basis(function: str, x: FloatArray) -> FloatArray:
    """Compute the terms (L, 2 or 3) of a function's curve: reciprocal for psi_s, else quadratic."""
    ones = np.ones_like(x)
    terms = [1 / x, ones] if function == "psi_s" else [x**2, x, ones]
    return np.stack(terms, axis=1)


def rmse(error: FloatArray) -> float:
    """Compute the root mean square of an error."""
    return float(np.sqrt(np.mean(error**2)))


def fitted(model: str, function: str) -> FloatArray:
    """Compute the coefficients of a function's curve by least squares."""
    column = measured(model)[function]
    x = (
        np.arange(len(column), dtype=np.float64)
        + published()["regressions"][model][function]["first"]
    )
    return np.asarray(np.linalg.lstsq(basis(function, x), column)[0])


def regressions_table() -> Table:
    """Return Table 1 beside the same fits made here, with the errors of both."""
    rows: list[list[Cell]] = []
    for model, title in MODELS.items():
        columns = measured(model)
        for function, entry in published()["regressions"][model].items():
            curve = fitted(model, function)
            rows.append([f"{title}, {function}", *_row(function, entry, curve, columns[function])])
    head = ["function", "printed curve", "fitted here", "printed RMSE"]
    head += ["RMSE of the fit", "RMSE of the printed curve at the cuts"]
    note = (
        "Table 1, with curves fitted by least squares to the networks' own layers (224 x 224 "
        "images, 1000 classes). psi in MiB, phi in GMAC, x is the cut. *fitted here* is over the x "
        "that give the printed coefficients: 1 to L, but 0 to L - 1 for psi_m of ResNet-34. The "
        "last column is what the printed curve misses where the paper uses it, at the cuts 1 to L."
    )
    return Table("table-1", head, rows, note, digits=3)


def _row(function: str, entry: dict[str, Any], curve: FloatArray, column: FloatArray) -> list[Cell]:
    cuts = np.arange(1, len(column) + 1, dtype=np.float64)
    own = basis(function, cuts - 1 + entry["first"]) @ curve
    used = basis(function, cuts) @ np.array(entry["curve"])
    return [
        _formula(entry["curve"], function),
        _formula(curve, function),
        entry["rmse"],
        rmse(own - column),
        rmse(used - column),
    ]


def _formula(coefficients: Any, function: str) -> str:
    powers = ("/x", "") if function == "psi_s" else (" x²", " x", "")
    text = ""
    for number, power in zip(coefficients, powers, strict=True):
        sign = "−" if number < 0 else "+" if text else ""
        text += f" {sign} " if text else sign
        text += f"{abs(number):.4g}{power}"
    return text
