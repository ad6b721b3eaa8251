"""DistilP's ``model_profile.json``: weights, activations and work of each decoder layer.

Lists have L + 1 entries; the first is a placeholder that is all zeros, and neither the embedding
nor the head of the language model is in them. Activations (``b_i``, ``b_o``) are those of whole
sequences of ``seq_len`` tokens, ``e_embed`` numbers of 16 bits each, for as many sequences as the
profiler was first asked for, which the file does not name: it follows from their size. Work
(``f_q``) is in FLOP with 2 for a multiply-accumulate, by phase and batch (``b_1``, ``b_2``, ...).
Form: the profiler's own class ModelProfileSplit, and the profiles in DistilP's repository.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from splitopt.documents.checks import is_whole
from splitopt.documents.fields import expect_keys, expect_mapping, expect_number, expect_text
from splitopt.errors import InputError, shown
from splitopt.profiles.readers.counted import inference_profile
from splitopt.profiles.table.arrays import Array
from splitopt.profiles.table.profile import ModelProfile

_KEYS = ("b", "b_i", "b_o", "L", "e_embed", "seq_len", "f_q", "quantization")
_PHASE = "prefill"
_BATCH = re.compile(r"b_([1-9][0-9]{0,8})$")
_ACTIVATION_BYTES = 2
MOST_LAYERS = 100_000


def is_distilp(document: Any) -> bool:
    """Whether a JSON document means to be DistilP's profile of a model or of a device."""
    return isinstance(document, Mapping) and (
        {"b", "b_o", "f_q"} <= document.keys()
        or {"b_layer", "f_q"} <= document.keys()
        or {"scpu", "T_cpu"} <= document.keys()
    )


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused by its name
def distilp_profile(document: Any, path: str | Path) -> ModelProfile:
    """Return the profile of such a document, with layers ``decoder-1``, ``decoder-2``, ...

    A sample is a sequence of ``seq_len`` tokens, and its work that of the phase ``prefill``, which
    is a forward pass over it. The file is of inference: see `inference_profile` for the rest.

    Raises
    ------
    InputError
        It is the profile of a device, or the solver's form with one typical layer; a key is
        missing, a list has another length, an entry is no number >= 0, there is no work of the
        phase ``prefill``, or activations are no whole number of sequences, or not the same behind
        all layers.
    """
    source = str(path)
    document = _of_model(document, source)
    count, tokens, width = (_whole(document, key, source) for key in ("L", "seq_len", "e_embed"))
    if count > MOST_LAYERS:
        raise InputError.at(f"{source}: L", f"is {count}; give at most {MOST_LAYERS:,}")
    parameters, inputs, outputs = (
        _numbers(document[key], f"{source}: {key}", count + 1) for key in ("b", "b_i", "b_o")
    )
    work, batch = _work(document["f_q"], f"{source}: f_q", count + 1)
    if parameters[0] or inputs[0] or outputs[0] or work[0]:
        raise InputError.at(
            f"{source}: entry 0 of the lists", "is not all zeros, as DistilP's placeholder is"
        )
    sequences = _sequences(outputs[1:], tokens, width, f"{source}: b_o")
    quantized = expect_text(document["quantization"], f"{source}: quantization")
    notes = [
        f"A sample is a sequence of {tokens:,} tokens; work is that of the phase {_PHASE}.",
        f"Parameters are as stored ({quantized}); embedding and head are not in the file.",
    ]
    if document.get("is_moe") is True:
        notes.append("Of a mixture of experts: work of the active experts, parameters of all.")
    return inference_profile(
        _name(path),
        [f"decoder-{number}" for number in range(1, count + 1)],
        work[1:] / batch,
        parameters[1:],
        outputs[1:] / sequences,
        f"DistilP's file {Path(path).name}",
        notes,
    )


def _name(path: str | Path) -> str:
    """Return a name: that of the file, or of its folders where all files have the same name."""
    stem = Path(path).stem
    return Path(path).resolve().parent.name or stem if stem == "model_profile" else stem


def _of_model(document: Any, source: str) -> Mapping[str, Any]:
    """Return the profile of a model, or say what else it is."""
    found = expect_mapping(document, source)
    if "scpu" in found:
        raise InputError(
            f"{source}: is DistilP's profile of a device; a scenario states a device's speed as "
            "'compute', and takes the profile of the model"
        )
    if "b_layer" in found and "b" not in found:
        raise InputError(
            f"{source}: is what DistilP's solver reads, with one typical layer (b_layer); give "
            "what its profiler writes, with lists of all layers (b, b_i, b_o, f_q)"
        )
    return expect_keys(found, source, _KEYS, tuple(found))


def _whole(document: Mapping[str, Any], key: str, source: str) -> int:
    value = document[key]
    if not is_whole(value, 1):
        raise InputError.at(f"{source}: {key}", f"is {shown(value)}; give a whole number >= 1")
    return value


def _sequences(outputs: Array, tokens: int, width: int, where: str) -> float:
    """Return how many sequences the activations behind all layers are for."""
    one = tokens * width * _ACTIVATION_BYTES
    found = outputs[0] / one
    if found < 1 or found != round(found):
        raise InputError.at(
            f"{where}[1]",
            f"is {outputs[0]:,.0f} B, which is no whole number of sequences of {tokens:,} tokens "
            f"with {width:,} numbers of {8 * _ACTIVATION_BYTES} bits (seq_len, e_embed)",
        )
    if (other := np.flatnonzero(outputs != outputs[0])).size:
        raise InputError.at(
            f"{where}[{other[0] + 1}]",
            f"is {outputs[other[0]]:,.0f} B, and {outputs[0]:,.0f} B behind the first layer; every "
            "decoder layer puts out as much, and 0 B is one that DistilP's profiler does not know",
        )
    return float(found)


def _work(phases: Any, where: str, count: int) -> tuple[Array, int]:
    """Return the FLOP of the smallest batch of the phase, and how many sequences it has."""
    found = expect_mapping(phases, where).get(_PHASE)
    if not isinstance(found, Mapping) or not found:
        raise InputError.at(
            where,
            f"has no work of the phase {_PHASE}; profile the model by phases, as DistilP does",
        )
    sizes: dict[int, Array] = {}
    for key, listed in found.items():
        place = f"{where}.{_PHASE}.{key}"
        if (batch := _BATCH.match(key)) is None:
            raise InputError.at(place, "is no batch; keys are b_1, b_2, ...")
        sizes[int(batch[1])] = _numbers(listed, place, count)
    smallest = min(sizes)
    return sizes[smallest], smallest


def _numbers(values: Any, where: str, count: int) -> Array:
    """Return a list of `count` numbers >= 0 as an array."""
    if not isinstance(values, list) or len(values) != count:
        found = f"{len(values)} entries" if isinstance(values, list) else shown(values)
        raise InputError.at(where, f"must be a list with {count} entries (L + 1), found {found}")
    read = [expect_number(value, f"{where}[{place}]", 0) for place, value in enumerate(values)]
    return np.array(read, dtype=np.float64)
