"""DistilP's profiles of language models, held against numbers that are counted by hand."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import read

TOKENS, WIDTH, HIDDEN, WEIGHTS = 16, 8, 32, 2 * (4 * 8 * 8 + 3 * 8 * 32)
"""Tokens of a sequence, width of the model and of its MLP, and bytes of a decoder layer."""
FLOP = 2 * TOKENS * (4 * WIDTH * WIDTH + 3 * WIDTH * HIDDEN) + 4 * TOKENS * TOKENS * WIDTH
"""Of a layer and a sequence: four projections, three of the MLP, scores and weighted values."""


def profile_of(layers=3, sequences=2):
    """Return what the profiler writes of a small model, asked for `sequences` first."""
    activations = 2 * sequences * TOKENS * WIDTH
    batches = {f"b_{n}": [0.0] + layers * [float(n * FLOP)] for n in (sequences, 4, 8)}
    one = {f"b_{n}": [0.0] + layers * [n * FLOP / TOKENS] for n in (sequences, 4, 8)}
    return {
        "b": [0] + layers * [WEIGHTS],
        "b_i": [0] + layers * [activations],
        "b_o": [0] + layers * [activations],
        "L": layers, "hk": 2, "hv": 2, "ek": 4, "ev": 4, "n_kv": 64, "e_embed": WIDTH, "V": 100,
        "seq_len": TOKENS,
        "f_q": {"prefill": batches, "decode": one},
        "f_out": {"prefill": {"b_2": 2.0 * FLOP}, "decode": {"b_2": 2.0 * FLOP / TOKENS}},
        "quantization": "BF16", "is_moe": False, "attn_bytes": [],
    }  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(document, name="small.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
        return path

    return write


@pytest.mark.parametrize("sequences", [1, 2])
def test_a_model_by_hand(write, sequences):
    """A sample is a sequence, whatever batch the profiler was first asked for."""
    profile = read(write(profile_of(sequences=sequences)))
    assert profile.layers == ("decoder-1", "decoder-2", "decoder-3")
    np.testing.assert_allclose(profile.device_forward_flop, [FLOP, 2 * FLOP, 3 * FLOP])
    np.testing.assert_allclose(profile.server_forward_flop, [2 * FLOP, FLOP, 0])
    np.testing.assert_allclose(profile.device_backward_flop, 2 * profile.device_forward_flop)
    assert profile.layer_parameter_bytes.tolist() == 3 * [WEIGHTS]
    assert profile.smashed_bytes.tolist() == [256.0, 256.0, 0.0]  # 16 tokens, 8 numbers, 2 B
    assert "gradient_bytes" in profile.guesses()
    assert any("sequence of 16 tokens" in note for note in profile.provenance.notes)


def test_published_numbers(write):
    """Qwen3 with 4 billion parameters in 8 bits, as DistilP publishes it, is what one counts.

    Width 2,560, MLP of 9,728, 32 heads of 80 numbers of which 8 for keys and values, 1,024 tokens;
    weights of a byte, with a scale of 2 B for 128 of them.
    """
    layer = {"b": 92_518_400, "b_i": 5_242_880, "b_o": 5_242_880}
    document = {key: [0] + 36 * [value] for key, value in layer.items()} | {
        "L": 36, "e_embed": 2560, "seq_len": 1024, "quantization": "Q8_0",
        "f_q": {"prefill": {f"b_{n}": [0.0] + 36 * [n * 197_300_060_160.0] for n in (1, 2)}},
    }  # fmt: skip
    profile = read(write(document))
    weights = 2 * 2560 * 2560 + 2 * 2560 * 8 * 80 + 3 * 2560 * 9728
    assert profile.layer_parameter_bytes[0] == weights + 2 * weights / 128
    assert profile.device_forward_flop[0] == 2 * 1024 * weights + 4 * 1024 * 1024 * 32 * 80
    assert profile.smashed_bytes[0] == 1024 * 2560 * 2
    assert profile.layer_count == 36


def test_the_name_is_that_of_the_folder(write):
    """All files of DistilP are called model_profile.json."""
    assert read(write(profile_of(), "qwen/model_profile.json")).name == "qwen"
    assert read(write(profile_of(), "mine.json")).name == "mine"


def test_a_mixture_of_experts_says_so(write):
    profile = read(write(profile_of() | {"is_moe": True}))
    assert any("mixture of experts" in note for note in profile.provenance.notes)


def changed(*path, value):
    """Return what sets an entry of a document."""

    def change(document):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("seq_len"), "seq_len"),
        (changed("L", value=0), "L: is 0; give a whole number >= 1"),
        (changed("L", value=4), r"b: must be a list with 5 entries \(L \+ 1\), found 4 entries"),
        (changed("L", value=10**9), "L: is 1000000000; give at most"),
        (changed("b", 1, value=-1), r"b\[1\]: is -1"),
        (changed("b", 0, value=5), "entry 0 of the lists: is not all zeros"),
        (changed("b_o", 2, value=0), r"b_o\[2\]: is 0 B, and 512 B behind the first layer"),
        (changed("seq_len", value=15), r"b_o\[1\]: is 512 B, which is no whole number of seq"),
        (changed("f_q", value={"b_1": [0, 1, 1, 1]}), "f_q: has no work of the phase prefill"),
        (changed("f_q", "prefill", value={"x": []}), "f_q.prefill.x: is no batch"),
        (changed("f_q", "prefill", "b_4", value=[0.0]), "f_q.prefill.b_4: must be a list with 4"),
        (changed("f_q", "prefill", "b_4", 1, value="x"), r"f_q.prefill.b_4\[1\]: is 'x'"),
        (changed("quantization", value=""), "quantization: must be a text"),
    ],
)
def test_a_spoiled_profile_is_refused(write, change, words):
    """By one sentence with the file and the place."""
    document = copy.deepcopy(profile_of())
    change(document)
    path = write(document)
    with pytest.raises(InputError, match=words) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"name": "m4", "scpu": {}, "T_cpu": 1e11}, "is DistilP's profile of a device"),
        ({"b_layer": 5, "f_q": {"b_1": 2.0}, "L": 3}, "is what DistilP's solver reads"),
    ],
)
def test_its_other_files_are_named(write, document, words):
    with pytest.raises(InputError, match=words):
        read(write(document))


def test_a_batch_is_not_asked(write):
    """Neither are boundaries and a unit, which only graphs have."""
    path = write(profile_of())
    for said in ({"boundaries": "cuts"}, {"unit": "s"}):
        with pytest.raises(InputError, match="and this is none; leave it out"):
            read(path, **said)
