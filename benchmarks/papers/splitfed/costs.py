"""SplitFed's Table 2: what a global epoch costs in four schemes, as printed and as derived.

The setting is uniform: all K clients are alike, hold p / K samples each, and send at a rate of
their own. The communication of both versions is the same. The times differ: the printed ones have
the time T of a pass over ALL samples in every row, although clients that work side by side pass
over p / K samples each; the derived ones divide by K what is done side by side.

All functions are plain arithmetic on scalars or arrays of any namespace that broadcast, so that
JAX can differentiate, ``jit`` and ``vmap`` them; in JAX, call them inside
`splitopt.latency.precision.double_precision`. Sizes may be in any unit that the rate fits.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

SCHEMES = ("fl", "sl", "sflv1", "sflv2")


class UniformSetting(NamedTuple):
    """What Table 2 is about; scalars, or arrays that broadcast.

    Parameters
    ----------
    clients
        K, at least 1.
    samples
        p, of all clients together.
    smashed
        q, the size of the smashed data of one sample; its gradient is as large.
    model
        |W|, the size of the whole model.
    client_share
        beta, the clients' part of the model's SIZE, 0 to 1.
    rate
        R, size per second of each client's own link.
    full_pass_s
        T, seconds of forward and backward passes of the whole model over all p samples.
    aggregation_s
        T_fedavg, seconds to average the whole model; each of two servers takes half of it.
    client_work
        The clients' part of the WORK, 0 to 1. The table has no such number; only the derived time
        of SFLV2 depends on it.
    """

    clients: Any
    samples: Any
    smashed: Any
    model: Any
    client_share: Any
    rate: Any
    full_pass_s: Any
    aggregation_s: Any
    client_work: Any = 0.0

    @property
    def crossing(self) -> Any:
        """What crosses the cut at one client, both ways: 2 p q / K."""
        return 2 * self.samples * self.smashed / self.clients

    @property
    def hand_over(self) -> Any:
        """A client's part of the model, both ways: 2 beta |W|."""
        return 2 * self.client_share * self.model

    @property
    def split_transfer_s(self) -> Any:
        """Seconds that one client of a split scheme sends and receives."""
        return (self.crossing + self.hand_over) / self.rate


class FourSchemes(NamedTuple):
    """A quantity in federated, split, and both kinds of split federated learning."""

    fl: Any
    sl: Any
    sflv1: Any
    sflv2: Any


def communication_per_client(setting: UniformSetting) -> FourSchemes:
    """Size that a client sends and receives in a global epoch (Table 2, first column)."""
    split = setting.crossing + setting.hand_over
    return FourSchemes(2 * setting.model + 0 * split, split, split, split)


def total_communication(setting: UniformSetting) -> FourSchemes:
    """Size that all clients send and receive in a global epoch (Table 2, second column)."""
    return FourSchemes(*(setting.clients * own for own in communication_per_client(setting)))


def printed_time(setting: UniformSetting) -> FourSchemes:
    """Seconds of a global epoch as Table 2 prints them."""
    whole, moved = setting.full_pass_s, setting.split_transfer_s
    return FourSchemes(
        fl=whole + 2 * setting.model / setting.rate + setting.aggregation_s,
        sl=whole + setting.clients * moved,
        sflv1=whole + moved + setting.aggregation_s,
        sflv2=whole + moved + setting.aggregation_s / 2,
    )


def derived_time(setting: UniformSetting) -> FourSchemes:
    """Seconds of a global epoch with T / K where clients work side by side.

    Every client passes over p / K samples. In federated learning and in SFLV1, which has a copy of
    the server's part per client, all of the work is side by side. In SFLV2 only the clients' part
    of the work is: the server's part takes the clients one after the other. In split learning
    nothing is, and the printed row is right.
    """
    printed = printed_time(setting)
    idle = 1 - 1 / setting.clients
    saved = setting.full_pass_s * idle
    return FourSchemes(
        fl=printed.fl - saved,
        sl=printed.sl,
        sflv1=printed.sflv1 - saved,
        sflv2=printed.sflv2 - setting.client_work * saved,
    )


class Conditions(NamedTuple):
    """When one scheme's epoch is shorter than another's; positive margins in s say yes."""

    sflv1_before_sl: Any
    sflv2_before_sflv1: Any
    sflv2_before_sl: Any
    sflv1_before_fl: Any


def printed_conditions(setting: UniformSetting) -> Conditions:
    """Margins of the printed times in closed form.

    * SFLV1 before SL: (K - 1) (2 p q / K + 2 beta |W|) / R - T_fedavg, so never for K = 1, and not
      where averaging is slow;
    * SFLV2 before SFLV1: T_fedavg / 2, always;
    * SFLV2 before SL: as SFLV1, with T_fedavg / 2;
    * SFLV1 before FL: (2 (1 - beta) |W| - 2 p q / K) / R, as it is for the traffic.
    """
    more = (setting.clients - 1) * setting.split_transfer_s
    left = 2 * (1 - setting.client_share) * setting.model
    return Conditions(
        sflv1_before_sl=more - setting.aggregation_s,
        sflv2_before_sflv1=setting.aggregation_s / 2 + 0 * more,
        sflv2_before_sl=more - setting.aggregation_s / 2,
        sflv1_before_fl=(left - setting.crossing) / setting.rate,
    )


def derived_conditions(setting: UniformSetting) -> Conditions:
    """Margins of the derived times in closed form.

    With I = T (1 - 1/K), what side by side work saves, and w the clients' part of the work: SFLV1
    gains I against SL, SFLV2 gains w I, and SFLV2 before SFLV1 takes T_fedavg / 2 > (1 - w) I.
    """
    printed = printed_conditions(setting)
    saved = setting.full_pass_s * (1 - 1 / setting.clients)
    return Conditions(
        sflv1_before_sl=printed.sflv1_before_sl + saved,
        sflv2_before_sflv1=printed.sflv2_before_sflv1 - (1 - setting.client_work) * saved,
        sflv2_before_sl=printed.sflv2_before_sl + setting.client_work * saved,
        sflv1_before_fl=printed.sflv1_before_fl,
    )


def fastest(times: FourSchemes, xp: ModuleType = np) -> Any:
    """Return the index into `SCHEMES` of the shortest epoch, the first of equals."""
    return xp.stack(xp.broadcast_arrays(*map(xp.asarray, times)), axis=-1).argmin(axis=-1)
