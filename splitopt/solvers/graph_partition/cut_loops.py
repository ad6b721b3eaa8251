"""What a part of a partition cuts, group by group, compiled into the loops that grow parts."""

from __future__ import annotations

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import helper


@helper
def take_in(
    g: int,
    inside: IntArray,
    before: IntArray,
    own_starts: IntArray,
    own: IntArray,
    member_starts: IntArray,
    cost_s: FloatArray,
    cut: float,
    kept: float,
) -> tuple[float, float]:
    """Count a group into a part; return what the part cuts, and what it never stops to cut.

    A hyperedge is cut while some of its groups are in the part and others are not. One with a group
    that was placed before stays cut, whatever else the part takes.

    Parameters
    ----------
    inside, before
        Shape (hyperedges,): how many groups of each are in the part (written to), and were placed
        before it.
    cut, kept
        Both values without the group, s.
    """
    for a in range(own_starts[g], own_starts[g + 1]):
        h = own[a]
        if inside[h] == 0:
            cut += cost_s[h]
            if before[h] > 0:
                kept += cost_s[h]
        inside[h] += 1
        if inside[h] == member_starts[h + 1] - member_starts[h]:
            cut -= cost_s[h]
    return cut, kept


@helper
def leave_out(g: int, inside: IntArray, own_starts: IntArray, own: IntArray) -> None:
    """Count a group out of a part again, see `take_in`."""
    for a in range(own_starts[g], own_starts[g + 1]):
        inside[own[a]] -= 1
