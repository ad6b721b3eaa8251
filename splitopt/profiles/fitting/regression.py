"""Regression curves of a profile's columns over the cut (DP-MORA section 3.4 and Table 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from splitopt.errors import InputError
from splitopt.profiles.table.arrays import Array, frozen_array
from splitopt.profiles.table.curves import FAMILIES, POWER, TABULATED, Curve, power_family
from splitopt.profiles.table.profile import ModelProfile

SHAPES = {**FAMILIES, POWER: 3, "piecewise": 3, "isotonic": 2}
"""What can be fitted, and how many numbers it has at least: a fit needs more points than that."""


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
    against_cuts
        For a column that only rises or only falls: the fitted cuts at which the curve has gone
        the other way since the fitted cut before.
    """

    curve: Curve
    rmse: float
    validated: Mapping[str, float]
    negative_cuts: tuple[int, ...]
    against_cuts: tuple[int, ...] = ()


def fit_curve(
    values: Sequence[float] | Array,
    cuts: Sequence[int] | None = None,
    families: Iterable[str] | None = None,
    layers: int | None = None,
) -> CurveFit:
    """Fit one column over the cut and choose the family by cross-validation.

    Parameters
    ----------
    values
        The column at `cuts`: finite numbers >= 0.
    cuts
        Cuts >= 1, each once; ``1 .. len(values)`` by default.
    families
        The families to choose from, of `SHAPES`; by default all of `FAMILIES`. One that has no cut
        to spare for its validation is left out.
    layers
        L, the number of values of a piecewise or isotonic curve; the last cut by default.

    Raises
    ------
    InputError
        An unknown family, a cut or value that cannot be used, or too few of them for every family.
    """
    chosen = list(FAMILIES if families is None else families)
    for family in chosen:
        if family not in SHAPES:
            raise InputError.at("families", f"{family!r} is unknown; known are {_names(SHAPES)}")
    given = np.asarray(range(1, len(values) + 1) if cuts is None else cuts)
    whole = given.ndim == 1 and given.dtype.kind in "iu" and (given >= 1).all()
    if not whole or len(np.unique(given)) != len(given):
        raise InputError.at("cuts", "must be different whole numbers >= 1")
    x: Array = given.astype(np.float64)
    y = frozen_array(values, "values", len(x))
    chosen = [family for family in chosen if SHAPES[family] < len(x)]
    if not chosen:
        raise InputError.at("values", f"has {len(x)} entries, too few to validate any family")
    validated = {family: _leave_one_out(family, x, y) for family in chosen}
    best = min(validated, key=lambda name: validated[name])
    curve = _least_squares(best, x, y, layers or int(x.max()))
    found = curve(x)
    return CurveFit(
        curve,
        _rmse(found - y),
        validated,
        tuple(int(cut) for cut in x[found < 0].tolist()),
        _against(x, y, found),
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
        column: fit_curve(
            getattr(profile, column)[at], kept, wanted.get(column), profile.layer_count
        )
        for column in ModelProfile.REQUIRED
    }


@dataclass(frozen=True)
class ProfileFit:
    """Curves for all columns of a profile.

    Parameters
    ----------
    profile
        The profile with the curves: its table is unchanged, or evaluated from them.
    fits
        Column -> fit.
    """

    profile: ModelProfile
    fits: Mapping[str, CurveFit]

    def report(self) -> str:
        """Return a line for each column: the family, its errors, and where it cannot be true."""
        lines = []
        for column, fitted in self.fits.items():
            scale = float(np.max(getattr(self.profile, column))) or 1.0
            error = min(fitted.validated.values())
            line = (
                f"{column}: {fitted.curve.family}, RMSE {fitted.rmse:.4g} "
                f"({100 * fitted.rmse / scale:.1f} % of the largest), {error:.4g} when left out"
            )
            if fitted.negative_cuts:
                line += f"; below zero at cut {_numbers(fitted.negative_cuts)}"
            if fitted.against_cuts:
                line += f"; against the column's direction at cut {_numbers(fitted.against_cuts)}"
            lines.append(line)
        return "\n".join(lines)


def fit(
    profile: ModelProfile,
    families: Iterable[str] | Mapping[str, Iterable[str]] | None = None,
    cuts: Sequence[int] | None = None,
    *,
    replace_table: bool = False,
) -> ProfileFit:
    """Fit each column of a profile by the family that predicts left-out cuts best.

    Parameters
    ----------
    profile
        The table.
    families
        The families to choose from, of `SHAPES` (all by default), or column -> families.
    cuts
        The cuts to fit, all of them by default.
    replace_table
        Evaluate the curves at the cuts and put that, clipped at zero, in place of the table, as
        papers that print regressions do. The last cut, where nothing crosses and all work is
        the device's, keeps its values. By default the table stays, which is never further from
        the truth; the curves serve methods that need a cut between two layers.

    Returns
    -------
    ProfileFit
        Its profile is accepted wherever a profile is, and what is solved with a cut that need not
        be an integer takes its curves. Their values and derivatives by the cut are those of
        `splitopt.latency.relaxed`, in NumPy or JAX.
    """
    named = families if isinstance(families, Mapping) else {}
    general = tuple(SHAPES) if families is None or named else tuple(families)
    wanted = {column: tuple(named.get(column, general)) for column in ModelProfile.REQUIRED}
    fits = fit_profile(profile, {**wanted, **{c: tuple(f) for c, f in named.items()}}, cuts)
    fitted = with_curves(profile, fits)
    return ProfileFit(_evaluated(fitted) if replace_table else fitted, fits)


def _evaluated(profile: ModelProfile) -> ModelProfile:
    """Replace the table by its curves, but for the last cut."""
    cuts = np.arange(1, profile.layer_count + 1)
    columns: dict[str, Any] = {}
    for name, curve in (profile.curves or {}).items():
        column = np.maximum(curve(cuts), 0.0)
        column[-1] = getattr(profile, name)[-1]
        columns[name] = column
    note = "The table was evaluated from the curves and clipped at zero; the last cut was kept."
    provenance = replace(profile.provenance, notes=(*profile.provenance.notes, note))
    for name in ("layer_parameter_bytes", "layer_trained_bytes"):
        columns[name] = None  # they no longer add up to the column
    return replace(profile, **columns, provenance=provenance)


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


def _least_squares(family: str, x: Array, y: Array, layers: int) -> Curve:
    from splitopt.profiles.fitting.estimators import estimator

    fitted = estimator(family).fit(_column(x), y)
    if family == POWER:
        return Curve(power_family(fitted.exponent_), (fitted.slope_, fitted.intercept_))
    if family in TABULATED:
        values = fitted.predict(_column(np.arange(1.0, layers + 1.0)))
        return Curve(family, tuple(float(value) for value in values))
    slopes = [float(value) for value in fitted[-1].coef_[::-1]]  # scikit-learn lists x before x^2
    return Curve(family, (*slopes, float(fitted[-1].intercept_)))


def _leave_one_out(family: str, x: Array, y: Array) -> float:
    from sklearn.model_selection import LeaveOneOut, cross_val_predict

    from splitopt.profiles.fitting.estimators import estimator

    predicted = cross_val_predict(estimator(family), _column(x), y, cv=LeaveOneOut())
    return _rmse(predicted - y)


def _against(x: Array, y: Array, found: Array) -> tuple[int, ...]:
    """Return the cuts at which a curve goes against a column that has one direction."""
    order = np.argsort(x)
    steps, curve_steps = np.diff(y[order]), np.diff(found[order])
    if not ((steps >= 0).all() or (steps <= 0).all()) or not steps.any():
        return ()
    direction = 1.0 if steps.sum() > 0 else -1.0
    wrong = curve_steps * direction < -1e-9 * np.abs(y).max()
    return tuple(int(cut) for cut in x[order][1:][wrong].tolist())


def _column(x: Array) -> Array:
    return np.asarray(x, dtype=np.float64)[:, None]


def _rmse(error: Array) -> float:
    return float(np.sqrt(np.mean(error**2)))


def _names(known: Iterable[str]) -> str:
    return ", ".join(known)


def _numbers(cuts: Sequence[int]) -> str:
    return ", ".join(map(str, cuts))
