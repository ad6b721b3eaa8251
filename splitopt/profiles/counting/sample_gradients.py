"""What training with a gradient for each sample adds to the work and memory of a device part.

Differential privacy (Abadi et al. 2016; SplitFed, Algorithm 2) cuts every sample's own gradient
down to a norm before they are added up. So a device holds as many gradients of its part as its
batch has samples, and calls its part once more for them, side by side: another forward pass, whose
results are kept beside those of the first one.
"""

from __future__ import annotations

from dataclasses import replace

from splitopt.errors import InputError
from splitopt.profiles.counting.adapter_ranks import keeping_ranks
from splitopt.profiles.counting.memory import layer_trained
from splitopt.profiles.table.profile import ModelProfile

_BYTES = 4.0
"""Of a parameter, a float32."""
_FLOP = 4.0
"""For each number of a sample's gradient: squared and added up, then scaled and added up."""

NOTE = (
    "work and memory of the device part are those with a gradient for each sample, as differential "
    "privacy of the client part needs them"
)


def with_sample_gradients(profile: ModelProfile) -> ModelProfile:
    """Return a profile whose device part computes a gradient for each sample.

    Per sample it saves twice what it did, and has the trained parameters once more; the backward
    pass has another forward pass in it and four FLOP for each trained parameter, of norms and sums.
    The server part stays as it is.

    Raises
    ------
    InputError
        Work is not counted in the profile, or seconds were measured, which were without.
    """
    if profile.sample_gradients:
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
    return keeping_ranks(profile, _with_gradients)


def _with_gradients(profile: ModelProfile) -> ModelProfile:
    """Return the profile with the work and memory that these gradients take."""
    trained = layer_trained(profile).cumsum()
    per_flop = 1.0 if profile.work_unit == "FLOP" else 0.5
    saved = profile.device_memory_per_sample_bytes
    again = profile.device_forward_flop + _FLOP * per_flop * trained / _BYTES
    provenance = replace(profile.provenance, notes=(*profile.provenance.notes, NOTE))
    return replace(
        profile,
        device_backward_flop=profile.device_backward_flop + again,
        device_memory_per_sample_bytes=None if saved is None else 2.0 * saved + trained,
        sample_gradients=True,
        provenance=provenance,
    )
