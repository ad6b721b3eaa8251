"""Profiles from tables of layers that were counted for inference: work, parameters, outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.profile import ModelProfile
from splitopt.profiles.table.provenance import GUESS, Provenance

_GUESSED = ("device_backward_flop", "server_backward_flop", "gradient_bytes")
_NOTE = "Backward passes and gradients are not in the file: twice the work, as large."


def inference_profile(
    name: str,
    layers: Sequence[str],
    work: Array,
    parameters: Array,
    outputs: Array,
    source: str,
    notes: Sequence[str] = (),
) -> ModelProfile:
    """Return the profile of layers whose forward pass alone was counted.

    The backward pass is taken to be twice the forward pass, and the gradient over a cut as large
    as the activations; the profile calls both guesses.

    Parameters
    ----------
    name, layers
        Of the profile, and of each of its layers.
    work, parameters, outputs
        Shape ``(L,)``: FLOP per sample, bytes of parameters, and bytes per sample that it puts out.
    source, notes
        Where the numbers come from, and what a careful reader has to know.
    """
    forward, behind = np.cumsum(work), np.append(np.cumsum(work[:0:-1])[::-1], 0.0)
    smashed = np.append(outputs[:-1], 0.0)
    return ModelProfile(
        name=name,
        layers=tuple(layers),
        device_forward_flop=forward,
        device_backward_flop=2 * forward,
        server_forward_flop=behind,
        server_backward_flop=2 * behind,
        smashed_bytes=smashed,
        gradient_bytes=smashed,
        device_model_bytes=np.cumsum(parameters),
        layer_parameter_bytes=parameters,
        layer_output_bytes=outputs,
        work_unit="FLOP",
        provenance=Provenance(
            kind="computed",
            source=source,
            notes=(_NOTE, *notes),
            columns=dict.fromkeys(_GUESSED, GUESS),
        ),
    )
