"""Pictures of a model profile: what each cut sends, computes and tells."""

from __future__ import annotations

from typing import Any

from splitopt.errors import InputError
from splitopt.profiles.table.profile import ModelProfile
from splitopt.report.charts import COLOURS
from splitopt.report.plotting.axes import axes_for, plain_text

_MOST_NAMES = 40
"""Cuts that are called by the names of their layers; more are numbered."""


def plot_cut_bytes(profile: ModelProfile, ax: Any = None) -> Any:
    """Draw what crosses each cut for a sample, up and down, in kB.

    Parameters
    ----------
    profile
        Of a model.
    ax
        Axes of Matplotlib; by default those of a new figure.

    Returns
    -------
    The axes: cuts to the right, called by the last layer on the device; kB of a sample upwards.
    """
    ax = _cuts(profile, ax)
    series = {"activations up": profile.smashed_bytes, "gradients down": profile.gradient_bytes}
    _bars(ax, {name: values / 1e3 for name, values in series.items()})
    ax.set_ylabel("kB for a sample")
    return ax


def plot_cut_work(profile: ModelProfile, ax: Any = None) -> Any:
    """Draw the work of a sample at each cut on the device and on the server, in MFLOP.

    Parameters and axes are those of `plot_cut_bytes`; forward and backward passes together.

    Raises
    ------
    InputError
        The profile counts no work.
    """
    if not profile.has_work:
        raise InputError.at(f"profile {profile.name}", "counts no work that could be drawn")
    ax = _cuts(profile, ax)
    sides = {
        "device": profile.device_forward_flop + profile.device_backward_flop,
        "server": profile.server_forward_flop + profile.server_backward_flop,
    }
    _bars(ax, {name: values / 1e6 for name, values in sides.items()})
    ax.set_ylabel("MFLOP for a sample")
    return ax


def plot_cut_leakage(profile: ModelProfile, ax: Any = None) -> Any:
    """Draw the fraction of the input that a server can recover at each cut.

    Parameters and axes are those of `plot_cut_bytes`.

    Raises
    ------
    InputError
        The profile has no leakage.
    """
    if profile.leakage is None:
        raise InputError.at(
            f"profile {profile.name}", "has no leakage to draw; splitopt leakage measures it"
        )
    ax = _cuts(profile, ax)
    ax.plot(range(profile.layer_count), profile.leakage, color=COLOURS[0], marker="o")
    ax.set_ylim(0, 1.02)
    ax.set_ylabel("leakage, fraction of the input")
    return ax


def _cuts(profile: ModelProfile, ax: Any) -> Any:
    ax = axes_for(ax)
    ax.set_title(plain_text(profile.name), loc="left", fontsize=10.5)
    ax.set_xlabel("cut, behind the layer")
    if profile.layer_count <= _MOST_NAMES:
        names = [plain_text(name) for name in profile.layers]
        ax.set_xticks(range(profile.layer_count), names, rotation=60, ha="right", fontsize=8)
    ax.grid(axis="y", color="#d9dee5", linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def _bars(ax: Any, series: dict[str, Any]) -> None:
    thick = 0.8 / len(series)
    for k, (name, values) in enumerate(series.items()):
        places = [cut + (k - (len(series) - 1) / 2) * thick for cut in range(len(values))]
        ax.bar(places, values, width=thick, color=COLOURS[k], label=name)
    ax.legend(frameon=False, fontsize=9)
