"""Classes of identical devices."""

from __future__ import annotations

import numpy as np

from splitopt import CutAndResources
from splitopt.solvers.cut_and_resources.relaxation.grouping import fleet_of


def build(kinds, member):
    """Repeat random kinds of devices."""
    rng = np.random.default_rng(0)
    tables = rng.random((4, kinds, 3))
    allowed = rng.random((kinds, 3)) < 0.8
    allowed[:, 0] = True
    return CutAndResources(*tables[:, member], allowed[member], "sum")


def test_identical_devices_form_classes_in_order():
    """Classes are numbered by their first device and count their members."""
    member = np.array([2, 0, 2, 1, 1, 2])
    fleet = fleet_of(build(3, member))
    assert fleet.member.tolist() == [0, 1, 0, 2, 2, 0]
    assert fleet.count.tolist() == [3, 1, 2]


def test_what_is_not_allowed_does_not_tell_devices_apart():
    """Times of a cut that may not be used play no part, and zero is zero whatever its sign."""
    ones = np.ones((2, 2))
    other = np.array([[1.0, 2], [1, 3]])
    zero = np.array([[0.0, 0], [-0.0, 0]])
    allowed = np.array([[True, False], [True, False]])
    assert fleet_of(CutAndResources(ones, other, zero, ones, allowed)).classes == 1


def test_numbers_are_those_of_the_devices():
    """Expanding the classes gives the devices' own roots and times back."""
    problem = build(4, np.random.default_rng(1).integers(4, size=20))
    fleet = fleet_of(problem)
    expected = np.where(problem.allowed, problem.device_s, np.inf)
    np.testing.assert_array_equal(fleet.device_s[fleet.member], expected)
    roots = np.where(problem.allowed[:, :, None], problem.roots, 0.0)
    np.testing.assert_array_equal(fleet.roots[fleet.member], roots)


def test_counts_become_cuts():
    """Each class gets as many devices per cut as asked for."""
    problem = build(3, np.array([0, 1, 0, 2, 0, 1]))
    fleet = fleet_of(problem)
    counts = np.array([[1, 2, 0], [0, 0, 2], [0, 1, 0]])
    cuts = fleet.cuts(counts)
    for index in range(3):
        found = np.bincount(cuts[fleet.member == index] - 1, minlength=3)
        assert found.tolist() == counts[index].tolist()
