"""All ideals of an order, breadth first, compiled.

An ideal is a set of groups that holds whatever its members follow. It is kept as bits, `BITS` in a
word, and found again by a Zobrist hash in a table with open addressing.
"""

from __future__ import annotations

from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.compiling import compiled, helper

BITS = 62
"""Groups in a word, whose sign stays free."""
DONE, NO_ROOM, PAUSED = 0, 1, 2


@helper
def lowest(word: int) -> int:
    """Return the place of the lowest bit of a word that is not 0."""
    place = 0
    while word & 0xFFFF == 0:
        word >>= 16
        place += 16
    while word & 1 == 0:
        word >>= 1
        place += 1
    return place


@helper
def holds(words: IntArray, group: int) -> bool:
    """Whether a set holds a group."""
    return bool((words[group // BITS] >> (group % BITS)) & 1 == 1)


@helper
def find(
    table: IntArray, keys: IntArray, words: IntArray, key: int, made: IntArray
) -> tuple[int, int]:
    """Return the number of an ideal, or -1, and its place in the table."""
    mask = table.size - 1
    slot = key & mask
    while True:
        known = table[slot]
        if known < 0:
            return -1, slot
        if keys[known] == key:
            same = True
            for w in range(made.size):
                if words[known, w] != made[w]:
                    same = False
                    break
            if same:
                return known, slot
        slot = (slot + 1) & mask


@compiled
def fill_table(table: IntArray, keys: IntArray, count: int) -> None:
    """Write the first `count` ideals into an empty table."""
    mask = table.size - 1
    for i in range(count):
        slot = keys[i] & mask
        while table[slot] >= 0:
            slot = (slot + 1) & mask
        table[slot] = i


@helper
def change_of_cut(
    group: int,
    words: IntArray,
    own_starts: IntArray,
    own: IntArray,
    member_starts: IntArray,
    members: IntArray,
    cost_s: FloatArray,
) -> float:
    """Return what is cut more if an ideal takes a group: hyperedges begun less those completed."""
    change = 0.0
    for place in range(own_starts[group], own_starts[group + 1]):
        h = own[place]
        inside = 0
        for k in range(member_starts[h], member_starts[h + 1]):
            if holds(words, members[k]):
                inside += 1
        if inside == 0:
            change += cost_s[h]
        if inside == member_starts[h + 1] - member_starts[h] - 1:
            change -= cost_s[h]
    return change


@helper
def release(
    group: int,
    words: IntArray,
    free: IntArray,
    after_starts: IntArray,
    after: IntArray,
    before_starts: IntArray,
    before: IntArray,
) -> None:
    """Add to what can follow an ideal that has just taken a group; `free` is written to.

    What can follow now and could not before follows the group itself: nothing else has changed.
    """
    for place in range(after_starts[group], after_starts[group + 1]):
        follower = after[place]
        ready = True
        for k in range(before_starts[follower], before_starts[follower + 1]):
            if not holds(words, before[k]):
                ready = False
                break
        if ready:
            free[follower // BITS] |= 1 << (follower % BITS)


@compiled
def list_ideals(
    state: IntArray,
    words: IntArray,
    free: IntArray,
    keys: IntArray,
    sums: FloatArray,
    table: IntArray,
    arc_starts: IntArray,
    arc_group: IntArray,
    arc_ideal: IntArray,
    random: IntArray,
    own_values: FloatArray,
    after_starts: IntArray,
    after: IntArray,
    before_starts: IntArray,
    before: IntArray,
    own_starts: IntArray,
    own: IntArray,
    member_starts: IntArray,
    members: IntArray,
    cost_s: FloatArray,
    most: int,
) -> int:
    """List ideals and the arcs that add a group, as far as there is room.

    Parameters
    ----------
    state
        How many ideals are worked through, how many there are, and how many arcs; written to.
    words, free
        Shape (I, W): the groups of an ideal, and those that can be added to it.
    sums
        Shape (I, 5): work that counts against a free CPU, all work, work on a CPU, memory, and cost
        of what is cut.
    arc_starts, arc_group, arc_ideal
        The arcs of each ideal: the group that is added, and the ideal that this gives.
    random
        Shape (G,): Zobrist's numbers.
    own_values
        Shape (G, 4): as the first four of `sums`, of every group.
    most
        Work through so many ideals at most.

    Returns
    -------
    `DONE`, `NO_ROOM` or `PAUSED`.
    """
    width = words.shape[1]
    made = words[0].copy()
    worked = 0
    while state[0] < state[1]:
        i = state[0]
        if state[1] + random.size > words.shape[0] or state[2] + random.size > arc_group.size:
            return NO_ROOM
        if worked >= most:
            return PAUSED
        worked += 1
        arc_starts[i] = state[2]
        for w in range(width):
            rest = free[i, w]
            while rest != 0:
                bit = rest & -rest
                rest ^= bit
                g = w * BITS + lowest(bit)
                made[:] = words[i]
                made[w] |= bit
                key = keys[i] ^ random[g]
                j, slot = find(table, keys, words, key, made)
                if j < 0:
                    j = state[1]
                    state[1] += 1
                    table[slot] = j
                    keys[j] = key
                    words[j] = made
                    free[j] = free[i]
                    free[j, w] ^= bit
                    release(g, made, free[j], after_starts, after, before_starts, before)
                    for v in range(4):
                        sums[j, v] = sums[i, v] + own_values[g, v]
                    sums[j, 4] = sums[i, 4] + change_of_cut(
                        g, words[i], own_starts, own, member_starts, members, cost_s
                    )
                arc_group[state[2]] = g
                arc_ideal[state[2]] = j
                state[2] += 1
        state[0] += 1
        arc_starts[state[0]] = state[2]
    return DONE
