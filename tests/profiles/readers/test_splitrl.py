"""SplitRL's tables of blocks, held against numbers that are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import read

HEADER = "Block,FLOPs (G),Param Memory (MB),Activation Size (MB)\n"
ROWS = "0,1.126,0.0889,5.9082\n1,0.0015,0.0,5.9082\n2,0.0015,0.0,1.4238\n"
"""The first layers of AlexNet with 8 samples of 3 x 224 x 224, as SplitRL publishes them."""


@pytest.fixture
def write(tmp_path):
    def write(text, name="alexnet_block_metrics_batch8.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_the_first_layers_of_alexnet(write):
    """A convolution of 64 filters of 3 x 11 x 11 over 55 x 55 places, ReLU, pooling to 27 x 27."""
    profile = read(write(HEADER + ROWS), batch=8)
    assert (profile.name, profile.layers) == ("alexnet", ("block-0", "block-1", "block-2"))
    per_place = 2 * 3 * 11 * 11 + 1  # with the bias
    assert profile.device_forward_flop[0] == pytest.approx(64 * 55 * 55 * per_place, rel=1e-3)
    assert profile.layer_parameter_bytes[0] == pytest.approx(4 * 64 * (3 * 11 * 11 + 1), rel=1e-3)
    outputs = [4 * 64 * 55 * 55, 4 * 64 * 55 * 55, 4 * 64 * 27 * 27]
    np.testing.assert_allclose(profile.layer_output_bytes, outputs, rtol=1e-4)
    assert profile.smashed_bytes[-1] == 0
    np.testing.assert_array_equal(
        profile.device_forward_flop + profile.server_forward_flop, profile.device_forward_flop[-1]
    )
    assert "gradient_bytes" in profile.guesses()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER, "has a header but no rows"),
        (HEADER + ROWS.replace("1,0.0015", "2,0.0015"), "is '2'; blocks stand in turn, and this"),
        (HEADER + ROWS.replace("1.126", "-1"), r"FLOPs \(G\): is '-1'"),
        (HEADER + ROWS.replace("1.126", ""), r"FLOPs \(G\)"),
        (HEADER.replace("Block", "Layer") + ROWS, "Block"),
        (HEADER + ROWS.replace("1.126", "1e300"), "."),
    ],
)
def test_a_spoiled_table_is_refused(write, text, words):
    with pytest.raises(InputError, match=words):
        read(write(text), batch=8)


def test_the_batch_must_be_said(write):
    with pytest.raises(InputError, match="is SplitRL's; say for how many samples: batch=8"):
        read(write(HEADER + ROWS))
    with pytest.raises(InputError, match="batch: is 0; give a whole number >= 1"):
        read(write(HEADER + ROWS), batch=0)
