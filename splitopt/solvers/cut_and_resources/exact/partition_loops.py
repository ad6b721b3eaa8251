"""The compiled pass over pairs of subsets that fill one resource as they should."""

from __future__ import annotations

import numpy as np

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled


@compiled
def matching_pairs(
    load: FloatArray,
    saved: FloatArray,
    load_other: FloatArray,
    saved_other: FloatArray,
    most_saved: FloatArray,
    capacity: float,
    needed: float,
    at: IntArray,
    most_looks: int,
    found: IntArray,
) -> int:
    """Find pairs, one subset of each list, that load at most `capacity` and save at least `needed`.

    Parameters
    ----------
    load, saved
        Shape (A,): what subsets of the first half of the devices load a resource with, rising, and
        what it saves the others that they are there.
    load_other, saved_other
        Shape (B,): the same of the second half.
    most_saved
        Shape (B,): the largest of ``saved_other`` up to each place.
    at
        Shape (2,): the pair that is looked at next, which is moved on; the first is A at the end.
    most_looks
        Stop after so many pairs.
    found
        Room for pairs, shape (F, 2).

    Returns
    -------
    int
        How many pairs were found.
    """
    count, looks = 0, 0
    while at[0] < len(load):
        i, j = at[0], at[1]
        room = capacity - load[i]
        if j == -2:  # a new first subset: go to the last second one that still fits
            low, high = 0, len(load_other)
            while low < high:
                middle = (low + high) // 2
                if load_other[middle] <= room:
                    low = middle + 1
                else:
                    high = middle
            j = low - 1
        wanted = needed - saved[i]
        while j >= 0 and most_saved[j] >= wanted:
            looks += 1
            if saved_other[j] >= wanted:
                found[count, 0], found[count, 1] = i, j
                count += 1
            j -= 1
            if count == len(found) or looks >= most_looks:
                at[1] = j
                return count
        at[0], at[1] = i + 1, -2
    return count


@compiled
def sorted_subsets(load: FloatArray, saved: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return the sums of all subsets of H devices by rising load, each of shape (2^H,).

    Loads, savings, and a number whose bit h says whether device h is in the subset. Two rising
    lists, without and with a device, are merged for one device after the other (Horowitz and
    Sahni, 1974).
    """
    size = 1 << len(load)
    loads, savings, bits = np.zeros(size), np.zeros(size), np.zeros(size, np.int64)
    old_loads, old_savings, old_bits = np.zeros(size), np.zeros(size), np.zeros(size, np.int64)
    count = 1
    for device in range(len(load)):
        for k in range(count):
            old_loads[k], old_savings[k], old_bits[k] = loads[k], savings[k], bits[k]
        i, j, mark = 0, 0, 1 << device
        for k in range(2 * count):
            if j == count or (i < count and old_loads[i] <= old_loads[j] + load[device]):
                loads[k], savings[k], bits[k] = old_loads[i], old_savings[i], old_bits[i]
                i += 1
            else:
                loads[k] = old_loads[j] + load[device]
                savings[k] = old_savings[j] + saved[device]
                bits[k] = old_bits[j] + mark
                j += 1
        count *= 2
    return loads, savings, bits
