"""Regression curves of a profile's columns over the cut (DP-MORA section 3.4 and Table 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.profiles.curves import FAMILIES, Curve
from splitopt.profiles.fields import Array, frozen_array
from splitopt.profiles.model import ModelProfile


@dataclass(frozen=True)
class CurveFit:
    """A curve that was fitted to one column.

    Parameters
    ----------
    curve
        The least-squares curve of the chosen family, not clipped.
    rmse
        Root of the mean squared error at the fitted cuts, in the unit of the column.
    validated
        For each family that was tried, the same error when every cut is predicted from the others
        (leave-one-out); the family with the least is the chosen one.
    negative_cuts
        The fitted cuts at which the curve is below zero, which no size or work can be.
    """

    curve: Curve
    rmse: float
    validated: Mapping[str, float]
    negative_cuts: tuple[int, ...]


def fit_curve(
    values: Sequence[float] | Array,
    cuts: Sequence[int] | None = None,
    families: Iterable[str] | None = None,
) -> CurveFit:
    """Fit one column over the cut and choose the family by cross-validation.

    Parameters
    ----------
    values
        The column at `cuts`: finite numbers >= 0.
    cuts
        Cuts >= 1, each once; ``1 .. len(values)`` by default.
    families
        The families to choose from, all of `FAMILIES` by default. One that has no cut to spare for
        its validation is left out.

    Raises
    ------
    InputError
        An unknown family, a cut or value that cannot be used, or too few of them for every family.
    """
    chosen = list(FAMILIES if families is None else families)
    for family in chosen:
        if family not in FAMILIES:
            raise InputError.at("families", f"{family!r} is unknown; known are {_names(FAMILIES)}")
    given = np.asarray(range(1, len(values) + 1) if cuts is None else cuts)
    whole = given.ndim == 1 and given.dtype.kind in "iu" and (given >= 1).all()
    if not whole or len(np.unique(given)) != len(given):
        raise InputError.at("cuts", "must be different whole numbers >= 1")
    x: Array = given.astype(np.float64)
    y = frozen_array(values, "values", len(x))
    chosen = [family for family in chosen if FAMILIES[family] < len(x)]
    if not chosen:
        raise InputError.at("values", f"has {len(x)} entries, too few to validate any family")
    validated = {family: _leave_one_out(family, x, y) for family in chosen}
    curve = _least_squares(min(validated, key=lambda name: validated[name]), x, y)
    found = curve(x)
    return CurveFit(
        curve, _rmse(found - y), validated, tuple(int(cut) for cut in x[found < 0].tolist())
    )


def fit_profile(
    profile: ModelProfile,
    families: Mapping[str, Iterable[str]] | None = None,
    cuts: Sequence[int] | None = None,
) -> dict[str, CurveFit]:
    """Fit every column of a profile's table.

    Parameters
    ----------
    profile
        The table.
    families
        Column -> the families to choose from; a column that is not named may take any.
    cuts
        The cuts to fit, all of them by default. The jump to zero at the last cut can be left out.

    Returns
    -------
    dict
        Column -> fit, in the unit of the column.
    """
    wanted = dict(families or {})
    for column in wanted:
        if column not in ModelProfile.REQUIRED:
            raise InputError.at(
                "families", f"{column!r} is not one of {_names(ModelProfile.REQUIRED)}"
            )
    kept = list(range(1, profile.layer_count + 1) if cuts is None else cuts)
    if outside := [cut for cut in kept if not 1 <= cut <= profile.layer_count]:
        raise InputError.at("cuts", f"{outside[0]} is not a cut from 1 to {profile.layer_count}")
    at = np.array(kept, dtype=np.int64) - 1
    return {
        column: fit_curve(getattr(profile, column)[at], kept, wanted.get(column))
        for column in ModelProfile.REQUIRED
    }


def with_curves(profile: ModelProfile, fits: Mapping[str, CurveFit]) -> ModelProfile:
    """Return the profile with these curves beside its table, and a note that says so."""
    negative = [
        f"{name} at cut {', '.join(map(str, fit.negative_cuts))}"
        for name, fit in fits.items()
        if fit.negative_cuts
    ]
    note = "The curves were fitted to the table by least squares, families by leave-one-out" + (
        f"; below zero: {'; '.join(negative)}." if negative else "."
    )
    provenance = replace(profile.provenance, notes=(*profile.provenance.notes, note))
    curves = {name: fit.curve for name, fit in fits.items()}
    return replace(profile, curves=curves, provenance=provenance)


def _regression(family: str) -> Any:
    """Build the scikit-learn model of a family; its input is the cut as a column."""
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures

    steps: dict[str, list[Any]] = {
        "linear": [],
        "quadratic": [PolynomialFeatures(2, include_bias=False)],
        "reciprocal": [FunctionTransformer(np.reciprocal)],
        "logarithmic": [FunctionTransformer(np.log)],
    }
    return make_pipeline(*steps[family], LinearRegression())


def _least_squares(family: str, x: Array, y: Array) -> Curve:
    fitted = _regression(family).fit(_column(x), y)[-1]
    slopes = [float(value) for value in fitted.coef_[::-1]]  # scikit-learn lists x before x^2
    return Curve(family, (*slopes, float(fitted.intercept_)))


def _leave_one_out(family: str, x: Array, y: Array) -> float:
    from sklearn.model_selection import LeaveOneOut, cross_val_predict

    predicted = cross_val_predict(_regression(family), _column(x), y, cv=LeaveOneOut())
    return _rmse(predicted - y)


def _column(x: Array) -> Array:
    return np.asarray(x, dtype=np.float64)[:, None]


def _rmse(error: Array) -> float:
    return float(np.sqrt(np.mean(error**2)))


def _names(known: Iterable[str]) -> str:
    return ", ".join(known)
