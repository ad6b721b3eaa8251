"""The energy of IoTSL's devices: the four totals fitted with two powers, and Fig. 3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.papers.iotsl import published
from benchmarks.papers.tables import Cell, Table
from splitopt.latency.energy import device_energy
from splitopt.profiles import load_profile
from splitopt.profiles.published.iotsl import VGG16

RATE, SERVER = 40e6, 10e12
"""Guesses: bit/s of either direction, and FLOP/s of the server."""


class Fit(NamedTuple):
    """What a turn takes: joule, seconds and their parts; and the speed and powers that give it."""

    joule: float
    seconds: float
    sending_s: float
    server_s: float
    computing_s: float
    speed: float
    compute_w: float
    radio_w: float

    @property
    def turn_j(self) -> float:
        """Joule of a turn by the model of two powers."""
        return float(device_energy(self.compute_w, self.computing_s, self.radio_w, self.sending_s))


def fit() -> Fit:
    """Fit joule and seconds of a turn to the four totals by least squares through the origin.

    Fig. 3 divides the joule between computing and radio; the guessed rate and server divide the
    seconds, and what they leave is computing.
    """
    turns = np.array([count for data in published.DATA for count in data.turns], dtype=np.float64)
    joule, hours = (
        np.array([value for data in published.DATA for value in getattr(data, field)])
        for field in ("joule", "hours")
    )
    each_j = float(turns @ joule / (turns @ turns))
    each_s = float(turns @ (3600 * hours) / (turns @ turns))
    profile = load_profile(VGG16)
    at, samples = profile.layers.index("pool1"), published.SAMPLES
    moved = 4 * (samples * published.SMASHED + published.PARAMETERS)
    behind = samples * float((profile.server_forward_flop + profile.server_backward_flop)[at])
    work = samples * float((profile.device_forward_flop + profile.device_backward_flop)[at])
    sending, server = 8 * moved / RATE, behind / SERVER
    computing = each_s - 2 * sending - server
    alone = each_j / (1 + published.RADIO_MORE)
    return Fit(
        joule=each_j,
        seconds=each_s,
        sending_s=sending,
        server_s=server,
        computing_s=computing,
        speed=work / computing,
        compute_w=alone / computing,
        radio_w=(each_j - alone) / sending,
    )


def energy_tables() -> Iterator[Table]:
    """Yield the four totals beside the fit, and what the fit gives."""
    found = fit()
    rows: list[Sequence[Cell]] = []
    for data in published.DATA:
        for name, turns, hours, joule in zip(
            ("split learning", "IoTSL"), data.turns, data.hours, data.joule, strict=True
        ):
            here = turns * found.turn_j
            rows.append(
                [f"{data.name}, {name}", f"{turns}", f"{joule:.3g}", f"{joule / turns:,.0f}",
                 f"{joule / (3600 * hours):.2f}", f"{here:.3g}", f"{100 * (here / joule - 1):+.1f}"]
            )  # fmt: skip
    note = "Joule of the devices in the published totals, and those of the model of two powers."
    head = ["training", "turns", "J, paper", "J per turn", "mean W", "J, here", "off %"]
    yield Table("energy", head, rows, note)
    shown = [
        ["J of a turn", f"{found.joule:,.0f}"],
        ["s of a turn", f"{found.seconds:.1f}"],
        ["s of sending at 40 Mbit/s, and of receiving", f"{found.sending_s:.1f}"],
        ["s of the server at 10 TFLOP/s", f"{found.server_s:.1f}"],
        ["s of computing, what is left", f"{found.computing_s:.1f}"],
        ["GFLOP/s of a device", f"{found.speed / 1e9:.2f}"],
        ["W while it computes", f"{found.compute_w:.2f}"],
        ["W while it sends", f"{found.radio_w:.2f}"],
        ["% more joule with the radio (Fig. 3)", f"{100 * published.RADIO_MORE:.1f}"],
    ]
    note = (
        "Joule and seconds of a turn by least squares over the four totals; Fig. 3 divides the "
        "joule. The rate and the server's speed are guesses, from which speed and powers follow."
    )
    yield Table("energy-fit", ["what", "value"], shown, note)
