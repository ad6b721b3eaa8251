"""What there is to plan with: the shipped profiles, a row each."""

from __future__ import annotations

from dataclasses import dataclass

from splitopt.profiles.published.catalog import load_profile, profile_names
from splitopt.profiles.table.profile import ModelProfile

OWN_LICENSE = "Apache-2.0"
"""Of profiles that were counted or traced here, and of numbers typed from a paper's tables."""


@dataclass(frozen=True)
class ListedProfile:
    """A row of ``splitopt profiles``.

    Parameters
    ----------
    name, layers
        The profile and how many layers it has.
    parameters
        Of the whole model.
    forward_flop
        Work of the forward pass of a sample through the whole model; None where it is not known.
    smallest_cut_bytes, largest_cut_bytes
        Of a sample's activations at the cuts where something crosses; None if there is one layer.
    leakage
        How the leakage of its cuts is known: ``measured``, ``guess``, or None.
    machines
        The machines on which it was measured.
    kind, source, url, license
        Where its numbers come from.
    """

    name: str
    layers: int
    parameters: int
    forward_flop: float | None
    smallest_cut_bytes: float | None
    largest_cut_bytes: float | None
    leakage: str | None
    machines: tuple[str, ...]
    kind: str
    source: str
    url: str | None
    license: str


def listed_profiles() -> list[ListedProfile]:
    """Return a row for every shipped profile."""
    return [listed(load_profile(name)) for name in profile_names()]


def listed(profile: ModelProfile) -> ListedProfile:
    """Return the row of a profile."""
    cuts = profile.smashed_bytes[:-1]
    work = float(profile.device_forward_flop[-1])
    leakage = None
    if profile.leakage is not None:
        leakage = profile.provenance.columns.get("leakage", "stated")
    return ListedProfile(
        name=profile.name,
        layers=len(profile.layers),
        parameters=round(_parameter_bytes(profile) / 4),
        forward_flop=work if profile.has_work else None,
        smallest_cut_bytes=float(cuts.min()) if len(cuts) else None,
        largest_cut_bytes=float(cuts.max()) if len(cuts) else None,
        leakage=leakage,
        machines=tuple(name for name, times in profile.machines.items() if times.measured.any()),
        kind=profile.provenance.kind,
        source=profile.provenance.source,
        url=profile.provenance.url,
        license=profile.provenance.license or _own_license(profile),
    )


def _own_license(profile: ModelProfile) -> str:
    return OWN_LICENSE if profile.name in profile_names() else "not stated"


def _parameter_bytes(profile: ModelProfile) -> float:
    own = profile.layer_parameter_bytes
    return float(profile.device_model_bytes[-1] if own is None else own.sum())
