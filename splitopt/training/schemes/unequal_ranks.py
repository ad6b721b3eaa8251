"""Which schemes train devices whose adapters have ranks of their own."""

from __future__ import annotations

from splitopt.errors import InputError
from splitopt.training.options import Options

_NOT_WITH = (
    ("secure_aggregation", "a secure sum is of parts of one size"),
    ("as_published", "the authors' script tests copies of one size"),
)


def check_unequal_ranks(scheme: str, takes_ranks: bool, options: Options) -> None:
    """Reject adapters of unequal rank where copies of different sizes cannot be trained."""
    if not takes_ranks:
        raise InputError.at(
            "scheme",
            f"{scheme} trains one model with adapters of one rank, and the plan gives "
            "devices different ranks; train by splitfed_v1 or federated",
        )
    for name, why in _NOT_WITH:
        if getattr(options, name):
            raise InputError.at(
                name,
                f"is not for a plan that gives devices adapters of different ranks: {why}; "
                "leave it out",
            )
