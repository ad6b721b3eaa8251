"""Which trainings can have their averages of client-side models as secure sums.

Free of PyTorch.
"""

from __future__ import annotations

from collections.abc import Collection

from splitopt.errors import InputError
from splitopt.secure_sum.protocol import LEAST


def check_masked_sums(
    scheme: str,
    members: int,
    threshold: int | None,
    cuts: Collection[tuple[int, ...]],
    tied: Collection[str],
) -> None:
    """Raise `InputError` where a masked sum would hide nothing, or not all that it should.

    Parameters
    ----------
    scheme
        Its name.
    members
        How many clients take part in a round.
    threshold
        How many of them must be left; None for the usual number.
    cuts
        Of the clients.
    tied
        Names of weights that both sides of a cut train.
    """
    if members < LEAST:
        raise InputError.at(
            "secure_aggregation",
            f"needs at least {LEAST} clients in a round, and there are {members}: in a sum of two, "
            "each takes its own part off and has the other's; leave it out, or let more take part",
        )
    if threshold is not None and threshold > members:
        raise InputError.at(
            "threshold",
            f"is {threshold}, and {members} clients take part in a round; it must be at most that",
        )
    if len(set(cuts)) > 1:
        raise InputError.at(
            "secure_aggregation",
            "needs one cut that all clients share: a layer that few devices have is a sum of these "
            f"few alone; plan with --scheme {scheme}, or leave it out",
        )
    for name in tied:
        raise InputError.at(
            "secure_aggregation",
            f"does not go together with the tied weight {name}, of which the server would have "
            "every device's copy; cut elsewhere, or leave it out",
        )


def check_real(is_complex: bool) -> None:
    """Raise `InputError` for a model with complex numbers, which masks are not for."""
    if is_complex:
        raise InputError.at(
            "secure_aggregation",
            "is for real numbers, and the model has complex ones; leave it out",
        )
