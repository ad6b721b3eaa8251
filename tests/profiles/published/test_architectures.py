"""The counted networks against the polynomials that DP-MORA's Table 1 prints."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.profiles.counting.layers import Tensor
from splitopt.profiles.published.architectures import RESNET18_BLOCKS, RESNET34_BLOCKS, resnet


def _units(blocks):
    return resnet(blocks, Tensor(3, 224, 224), 1000)


def _printed(fit, decimals):
    """Round each coefficient to the decimals that the paper prints."""
    return [round(float(value), digits) for value, digits in zip(fit, decimals, strict=True)]


@pytest.mark.parametrize(
    ("blocks", "parameters", "macs"),
    [(RESNET18_BLOCKS, 11_689_512, 1.81e9), (RESNET34_BLOCKS, 21_797_672, 3.66e9)],
)
def test_totals_are_the_well_known_ones(blocks, parameters, macs):
    """Parameters are those of torchvision's models, to the last one, and so are the GMACs."""
    units = _units(blocks)
    assert sum(unit.parameters for unit in units) == parameters
    assert sum(unit.macs for unit in units) == pytest.approx(macs, abs=0.005e9)


@pytest.mark.parametrize(
    ("blocks", "first", "printed", "decimals"),
    [
        (RESNET18_BLOCKS, 1, [0.9746, -5.58, 6.528], (4, 2, 3)),
        (RESNET34_BLOCKS, 0, [0.4795, -3.517, 5.001], (4, 3, 3)),
    ],
)
def test_device_parameters_fit_the_printed_curve(blocks, first, printed, decimals):
    """Parameters with those of normalisation, without running statistics, give psi_m."""
    mib = np.cumsum([4 * unit.parameters for unit in _units(blocks)]) / 2**20
    x = np.arange(first, first + len(mib))
    assert _printed(np.polyfit(x, mib, 2), decimals) == printed


@pytest.mark.parametrize(
    ("blocks", "printed"),
    [
        (RESNET18_BLOCKS, [-0.01597, 0.7705, -0.4282]),
        (RESNET34_BLOCKS, [-0.00274, 0.7044, -0.3718]),
    ],
)
def test_device_work_fits_the_printed_curve(blocks, printed):
    """Three times the forward operations up to the cut, in G MAC, give phi."""
    gmac = 3 * np.cumsum([unit.operations for unit in _units(blocks)]) / 1e9
    assert _printed(np.polyfit(np.arange(1, len(gmac) + 1), gmac, 2), (5, 4, 4)) == printed


@pytest.mark.parametrize(
    ("blocks", "printed", "decimals"),
    [(RESNET18_BLOCKS, [3.2028, -0.3443], (4, 4)), (RESNET34_BLOCKS, [2.891, -0.0987], (3, 4))],
)
def test_smashed_data_fits_the_printed_curve(blocks, printed, decimals):
    """The outputs of the units, the first one before its pooling, give psi_s."""
    mib = np.array([4 * unit.output_elements for unit in _units(blocks)]) / 2**20
    mib[0] *= 4  # the pooling halves both sides
    basis = np.stack([1 / np.arange(1, len(mib) + 1), np.ones(len(mib))], axis=1)
    assert _printed(np.linalg.lstsq(basis, mib)[0], decimals) == printed
