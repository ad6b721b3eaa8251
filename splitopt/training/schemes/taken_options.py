"""Which options a scheme takes."""

from __future__ import annotations

from splitopt.errors import InputError
from splitopt.training.options import Options


def check_taken(
    options: Options, scheme: str, can_batch: bool, draws_clients: bool, has_script: bool
) -> None:
    """Raise `InputError` for an option that a scheme of these attributes does not take.

    Parameters
    ----------
    scheme
        Its name.
    can_batch, draws_clients, has_script
        As for `splitopt.training.schemes.base.Scheme`.
    """
    if options.batched and not can_batch:
        raise InputError.at(
            "batched",
            f"clients of {scheme} do not train whole copies side by side; train without",
        )
    if options.client_fraction is not None and not draws_clients:
        raise InputError.at(
            "client_fraction",
            f"is for splitfed_v1, splitfed_v2 and federated, and {scheme} trains all "
            "clients in every round; leave it out",
        )
    if options.as_published and not has_script:
        raise InputError.at(
            "as_published",
            f"is for splitfed_v1 and splitfed_v2, not for {scheme}; leave it out",
        )
