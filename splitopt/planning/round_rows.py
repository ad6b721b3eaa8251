"""Rounds as a prediction states them, of devices or of parts of groups: seconds by phase, shares.

A round is of one device, or of each of the devices of a part; below K counts either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from splitopt.planning.predictions.cut_and_resources import Bottleneck, ResourceWorth
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.cut_and_resources import PHASES
from splitopt.profiles import ModelProfile

_SAME = 1e-9
"""Relative difference up to which two devices end together."""


@dataclass(frozen=True, eq=False)
class Rounds:
    """K rounds.

    Parameters
    ----------
    cut
        Shape (K,): 1..L.
    share
        Shape (K, 3): of downlink, uplink and server; 1 of links that are a device's own.
    phases
        Shape (K, 4): seconds by `PHASES`.
    energy
        Shape (K,): joule, None where powers are not known.
    """

    cut: IntArray
    share: FloatArray
    phases: FloatArray
    energy: FloatArray | None

    def fields(self, profile: ModelProfile) -> list[dict[str, Any]]:
        """Return the fields that the rows of `DeviceRound` and `PartRound` have in common."""
        latencies = self.phases.sum(axis=1)
        return [
            {
                "cut": int(self.cut[k]),
                "cut_layer": profile.layers[self.cut[k] - 1],
                "download_share": float(self.share[k, 0]),
                "upload_share": float(self.share[k, 1]),
                "server_share": float(self.share[k, 2]),
                **{f"{name}_s": float(self.phases[k, i]) for i, name in enumerate(PHASES)},
                "round_s": float(latencies[k]),
                "energy_j": None if self.energy is None else float(self.energy[k]),
            }
            for k in range(len(self.cut))
        ]

    def of(self, rows: IntArray) -> Rounds:
        """Return some of the rounds."""
        energy = None if self.energy is None else self.energy[rows]
        return Rounds(self.cut[rows], self.share[rows], self.phases[rows], energy)


def bottleneck(
    phases: FloatArray, name: Callable[[int], str], devices: IntArray, most: ResourceWorth
) -> Bottleneck:
    """Return the slowest round, how many devices end with it, and what would help most.

    Parameters
    ----------
    phases
        Shape (K, 4): seconds by `PHASES`.
    name
        Whose round each is, by its index.
    devices
        Shape (K,): how many devices have each.
    most
        The resource of which more saves most.
    """
    latencies = phases.sum(axis=1)
    slowest = int(latencies.argmax())
    round_s, phase = float(latencies[slowest]), int(phases[slowest].argmax())
    return Bottleneck(
        device=name(slowest),
        phase=PHASES[phase],
        phase_s=float(phases[slowest, phase]),
        fraction_of_round=float(phases[slowest, phase] / round_s) if round_s > 0 else 0.0,
        slowest_devices=int(devices[latencies >= round_s * (1 - _SAME)].sum()),
        helps_most=most.resource if most.per_percent > 0 else None,
        saved_per_percent=most.per_percent,
    )
