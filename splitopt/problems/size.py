"""How large a model is, counted before it is built."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """The size of a model, for licences and for memory.

    Parameters
    ----------
    has_quadratic_terms
        Whether the objective or a constraint is quadratic.
    """

    variables: int
    linear_constraints: int
    quadratic_constraints: int = 0
    has_quadratic_terms: bool = False
