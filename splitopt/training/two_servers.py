"""SplitFed's two servers: who of them, and of the devices, receives what.

The *main server* gets smashed data and labels of the devices and has the server parts; the *fed
server* gets the client parts and averages them (Thapa et al. 2022, Fig. 1 and Algorithm 1 and 2).
Neither has what the other one is sent. So that tests need no party with both, the fed server puts
the test inputs through the averaged client part, and the main server gets what comes out of it.

Free of PyTorch.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from splitopt.errors import InputError

if TYPE_CHECKING:
    from splitopt.training.schemes.tally import Traffic

SERVER, FED, DEVICES = "server", "fed", "devices"
"""The main server, the fed server, and all devices together, as histories call them."""
TESTS = "test_smashed"
"""What the main server gets of the test data."""


def check_two_servers(
    scheme: str, cuts: Collection[tuple[int, ...]], tied: Collection[str]
) -> None:
    """Raise `InputError` where the client parts cannot be averaged by themselves.

    Parameters
    ----------
    scheme
        Its name.
    cuts
        Of the clients.
    tied
        Names of weights that both sides of a cut train.
    """
    different = set(cuts)
    if len(different) != 1 or len(next(iter(different))) != 1:
        why = (
            "no layer is the server's"
            if different == {()}
            else "a layer that is the server's for some of them is averaged over both sides"
        )
        raise InputError.at(
            "fed_server",
            f"needs one cut that all clients share, since {why}; plan with --scheme {scheme}, or "
            "train without",
        )
    for name in tied:
        raise InputError.at(
            "fed_server",
            f"does not go together with the tied weight {name}, of which the main server would "
            "have a copy; cut elsewhere, or train without",
        )


def received(traffic: Traffic, test_smashed: int = 0) -> dict[str, dict[str, int]]:
    """Return what each party received in a round, in bytes by kind.

    Parameters
    ----------
    traffic
        Of the round.
    test_smashed
        Bytes of the smashed test data, where there was a test.
    """
    down = traffic.statistics - traffic.statistics_up
    is_masked = traffic.secure_up > 0
    parties = {
        SERVER: {"smashed": traffic.smashed, "label": traffic.label, TESTS: test_smashed},
        FED: {
            "masked" if is_masked else "model": traffic.model_up,
            "statistics": traffic.statistics_up,
            "secure": traffic.secure_up,
        },
        DEVICES: {
            "model": traffic.model_down,
            "statistics": down,
            "gradient": traffic.gradient,
            "secure": traffic.secure_down,
        },
    }
    return {
        party: {kind: size for kind, size in kinds.items() if size}
        for party, kinds in parties.items()
    }
