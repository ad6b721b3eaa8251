"""What the operators of layers do, against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.models import build
from splitopt.profiles import trace
from splitopt.profiles.table.operator_counts import FEATURES

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from torch import nn  # noqa: E402

pytestmark = pytest.mark.train


def column(table, name):
    return table[:, FEATURES.index(name)].tolist()


def test_two_linear_layers_by_hand():
    """5 to 4 to 3 values: 40 and 24 FLOP; per batch a weight, a bias, and what makes gradients."""
    model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
    found = trace(model, torch.randn(2, 5), keep_all=True).profile.operators
    assert column(found.forward, "matrix_flop") == [40, 24]
    # addmm reads the input and writes the output; it reads weights and bias once for the batch
    assert column(found.forward, "moved_bytes") == [4 * (5 + 4), 4 * (4 + 3)]
    assert column(found.forward, "fixed_bytes") == [4 * (20 + 4), 4 * (12 + 3)]
    assert column(found.forward, "operators") == [1, 1]
    # both gradients of the second layer, that of the weights alone of the first
    assert column(found.backward, "matrix_flop") == [40, 48]
    # plain SGD reads weight and gradient and writes the weight
    assert column(found.update, "fixed_bytes") == [3 * 4 * 24, 3 * 4 * 15]
    assert column(found.update, "operators") == [2, 2]
    for name in ("convolution_flop", "depthwise_flop"):
        assert column(found.forward, name) == column(found.backward, name) == [0, 0]


@pytest.mark.parametrize(
    ("groups", "column_name", "inputs"),
    [(1, "convolution_flop", 4), (2, "convolution_flop", 2), (4, "depthwise_flop", 1)],
)
def test_convolutions_by_their_groups(groups, column_name, inputs):
    """3 x 3 on 8 x 8: 2 * 9 * inputs of a group per output; backward twice, first once."""
    convolutions = [nn.Conv2d(4, 4, 3, padding=1, groups=groups, bias=False) for _ in range(2)]
    found = trace(
        nn.Sequential(*convolutions), torch.randn(2, 4, 8, 8), keep_all=True
    ).profile.operators
    work = 2 * 9 * inputs * 4 * 64
    assert column(found.forward, column_name) == [work, work]
    assert column(found.backward, column_name) == [work, 2 * work]
    assert found.forward[:, :3].sum() == 2 * work


def test_a_transposed_convolution_works_per_input():
    """3 x 3 from 2 to 6 channels with stride 2 on 5 x 5: 2 * 9 * 6 per value that goes in."""
    model = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.ConvTranspose2d(2, 6, 3, stride=2))
    found = trace(model, torch.randn(2, 2, 5, 5), keep_all=True).profile.operators
    work = 2 * 9 * 6 * 2 * 25
    assert column(found.forward, "convolution_flop")[1] == work
    assert column(found.backward, "convolution_flop")[1] == 2 * work


@pytest.mark.slow
def test_mobilenet_backward():
    """175,207,936 MAC backward: those of all layers twice, without the input of the first one."""
    model = build("mobilenetv2", (3, 32, 32), 10)
    profile = trace(model, torch.randn(2, 3, 32, 32)).profile
    assert profile.operators.backward[:, :3].sum() == 350_136_320
    forward = profile.operators.forward[:, :3].sum()
    stem = 2 * 27 * 32 * 32 * 32
    assert forward == profile.device_forward_flop[-1]
    assert profile.operators.backward[:, :3].sum() == 2 * forward - stem


def test_layers_between_kept_cuts_add_up():
    """With the cuts that others beat left out, the layers are sums of the finer ones."""
    model, sample = build("cnn", (1, 8, 8)), torch.randn(2, 1, 8, 8)
    fine = trace(model, sample, keep_all=True).profile
    coarse = trace(model, sample).profile
    assert coarse.layer_count < fine.layer_count
    ends = [fine.layers.index(name) for name in coarse.layers]
    for phase in ("forward", "backward", "update"):
        whole = np.cumsum(getattr(fine.operators, phase), axis=0)[ends]
        np.testing.assert_allclose(np.cumsum(getattr(coarse.operators, phase), axis=0), whole)
