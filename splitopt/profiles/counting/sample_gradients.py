"""What training with a gradient for each sample adds to the work and memory of parts of a model.

Differential privacy (Abadi et al. 2016; SplitFed, Algorithm 2) cuts every sample's own gradient
down to a norm before they are added up. So a device holds as many gradients of its part as its
batch has samples, and calls its part once more for them, side by side: another forward pass, whose
results are kept beside those of the first one. Where the server's part is covered too, the same
holds there, behind the cut. In a pipeline owners have their first and last part, and nodes the
others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from splitopt.errors import InputError
from splitopt.profiles.counting.adapter_ranks import keeping_ranks
from splitopt.profiles.counting.memory import layer_trained
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.profile import ModelProfile

_BYTES = 4.0
"""Of a parameter, a float32."""
_FLOP = 4.0
"""For each number of a sample's gradient: squared and added up, then scaled and added up."""

Covered = Literal[False, True, "model"]
"""Which parts compute a gradient for each sample: none, those of devices, or all of the model."""


def note_of(covered: Covered) -> str:
    """Return the note of a plan whose parts compute a gradient for each sample."""
    whose = "of all parts" if covered == "model" else "of the device part"
    what = "model" if covered == "model" else "client part"
    return (
        f"work and memory {whose} are those with a gradient for each sample, as differential "
        f"privacy of the {what} needs them"
    )


def with_sample_gradients(profile: ModelProfile, covered: Covered = True) -> ModelProfile:
    """Return a profile whose parts compute a gradient for each sample.

    Per sample a part saves twice what it did, and has the trained parameters once more; the
    backward pass has another forward pass in it and four FLOP for each trained parameter, of norms
    and sums. What a server's part saves follows from what its layers do, see `server_parts`.

    Parameters
    ----------
    profile
        Without such gradients, or with those of the device part.
    covered
        True for the device part, ``"model"`` for the server's as well.

    Raises
    ------
    InputError
        Work is not counted in the profile, or seconds were measured, which were without.
    """
    if not covered or profile.sample_gradients in (covered, "model"):
        return profile
    if not profile.has_work:
        raise InputError(
            f"privacy.per_sample_gradients adds to the work of {profile.name!r}, whose profile "
            "counts none; take one that does, or drop it"
        )
    if profile.machines:
        raise InputError(
            f"privacy.per_sample_gradients: the seconds of {profile.name!r} were measured without "
            "a gradient for each sample; take a profile that counts work, or drop it"
        )
    found = profile if profile.sample_gradients else keeping_ranks(profile, _on_devices)
    return keeping_ranks(found, _on_servers) if covered == "model" else found


def of_nodes(profile: ModelProfile) -> ModelProfile:
    """Return what compute nodes know: they have no gradients of single samples, unless all have."""
    return keeping_ranks(profile, _undone) if profile.sample_gradients is True else profile


def _again(profile: ModelProfile) -> Array:
    """FLOP per sample of what comes on top in the device part, at every cut."""
    per_flop = 1.0 if profile.work_unit == "FLOP" else 0.5
    trained = layer_trained(profile).cumsum()
    found: Array = profile.device_forward_flop + _FLOP * per_flop * trained / _BYTES
    return found


def _undone(profile: ModelProfile) -> ModelProfile:
    """Return what `_on_devices` was given, up to rounding, but for its notes."""
    saved = profile.device_memory_per_sample_bytes
    trained = layer_trained(profile).cumsum()
    return replace(
        profile,
        device_backward_flop=profile.device_backward_flop - _again(profile),
        device_memory_per_sample_bytes=None if saved is None else (saved - trained) / 2.0,
        sample_gradients=False,
    )


def _on_devices(profile: ModelProfile) -> ModelProfile:
    """Return the profile with the work and memory that gradients of the device part take."""
    trained = layer_trained(profile).cumsum()
    saved = profile.device_memory_per_sample_bytes
    again = _again(profile)
    provenance = replace(profile.provenance, notes=(*profile.provenance.notes, note_of(True)))
    return replace(
        profile,
        device_backward_flop=profile.device_backward_flop + again,
        device_memory_per_sample_bytes=None if saved is None else 2.0 * saved + trained,
        sample_gradients=True,
        provenance=provenance,
    )


def _on_servers(profile: ModelProfile) -> ModelProfile:
    """Return the profile with the work that gradients of the server's part take as well."""
    layers = layer_trained(profile)
    per_flop = 1.0 if profile.work_unit == "FLOP" else 0.5
    again = (
        profile.server_forward_flop + _FLOP * per_flop * (layers.sum() - layers.cumsum()) / _BYTES
    )
    again[-1] = 0.0  # nothing is the server's at the last cut
    notes = [note for note in profile.provenance.notes if note != note_of(True)]
    provenance = replace(profile.provenance, notes=(*notes, note_of("model")))
    return replace(
        profile,
        server_backward_flop=profile.server_backward_flop + again,
        sample_gradients="model",
        provenance=provenance,
    )
