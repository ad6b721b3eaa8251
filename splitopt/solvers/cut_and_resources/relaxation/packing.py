"""Symmetric matrices over the shared resources, block by block, as vectors with inner products.

Two resources interact only where some choice uses both. The matrices of a problem are therefore
block diagonal: one block for each group of resources that chains of such choices join, such as the
three of a server. A matrix is kept as a vector of its blocks' entries, off-diagonal ones times the
square root of two, so that <A, B> is the inner product of vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splitopt.problems.base import FloatArray, IntArray

_SMALL = float(np.finfo(np.float64).eps) ** 2
"""An eigenvalue of a price below this counts as zero: a smaller matrix is a valid price too."""


@dataclass(frozen=True, eq=False)
class Group:
    """The blocks of one size r, of which there are G.

    Parameters
    ----------
    members
        Shape (G, r): their resources.
    places
        Shape (G, r (r + 1) / 2): where their entries stand in a packed vector.
    row, column, scale
        Shape (r (r + 1) / 2,): which entry each of them is, and what it is multiplied by.
    """

    members: IntArray
    places: IntArray
    row: IntArray
    column: IntArray
    scale: FloatArray

    @cached_property
    def size(self) -> int:
        """Resources of a block r."""
        return int(self.members.shape[1])

    def matrix(self, vector: FloatArray) -> FloatArray:
        """Return the matrices (..., r, r) of packed vectors (..., K) that are one block alone."""
        found = np.empty((*vector.shape[:-1], self.size, self.size))
        entries = vector / self.scale
        found[..., self.row, self.column] = entries
        found[..., self.column, self.row] = entries
        return found

    def matrices(self, vector: FloatArray) -> FloatArray:
        """Return the blocks (..., G, r, r) of packed vectors (..., K)."""
        found = np.empty((*vector.shape[:-1], len(self.members), self.size, self.size))
        entries = vector[..., self.places] / self.scale
        found[..., self.row, self.column] = entries
        found[..., self.column, self.row] = entries
        return found


@dataclass(frozen=True, eq=False)
class Packing:
    """How matrices over R resources are packed.

    Parameters
    ----------
    resources
        R.
    blocks
        The groups of resources that interact; no resource is in two of them.
    """

    resources: int
    blocks: tuple[IntArray, ...]

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The blocks by size. A block's entries stand together: its diagonal comes first."""
        listed: dict[int, list[tuple[IntArray, int]]] = {}
        start = 0
        for block in self.blocks:
            size = len(block)
            listed.setdefault(size, []).append((block, start))
            start += size * (size + 1) // 2
        return tuple(_group(size, found) for size, found in listed.items())

    @cached_property
    def alone(self) -> Group | None:
        """The block, if there is but one and all resources are in it: then nothing is batched."""
        whole = len(self.blocks) == 1 and len(self.blocks[0]) == self.resources
        return self.groups[0] if whole else None

    @cached_property
    def size(self) -> int:
        """Numbers in a packed vector K."""
        return sum(len(block) * (len(block) + 1) // 2 for block in self.blocks)

    @cached_property
    def position(self) -> IntArray:
        """Shape (R, R): where the entry of two resources stands, -1 if they share no block."""
        found = np.full((self.resources, self.resources), -1)
        for group in self.groups:
            i, j = group.members[:, group.row], group.members[:, group.column]
            found[i, j] = found[j, i] = group.places
        return found

    def dyad(self, alpha: FloatArray) -> FloatArray:
        """Pack the blocks of alpha alpha^T for alpha (..., R)."""
        if (one := self.alone) is not None:
            return np.asarray(alpha[..., one.row] * alpha[..., one.column] * one.scale)
        found = np.empty((*alpha.shape[:-1], self.size))
        for group in self.groups:
            part = alpha[..., group.members]
            found[..., group.places] = part[..., group.row] * part[..., group.column] * group.scale
        return found

    def principal(self, price: FloatArray) -> FloatArray:
        """Return u >= 0, |u| = 1, whose blocks u u^T are nearest to those of packed prices."""
        u = np.zeros(self.resources)
        for group in self.groups:
            values, vectors = np.linalg.eigh(group.matrices(price))
            first = np.abs(vectors[..., -1]) * np.sqrt(np.maximum(values[..., -1:], 0.0))
            u[group.members] = first
        length = float(np.linalg.norm(u))
        return u / length if length > 0 else self.even()

    def even(self) -> FloatArray:
        """Return u, |u| = 1, that is the same for every resource in a block."""
        u = np.zeros(self.resources)
        used = np.concatenate(self.blocks)
        u[used] = np.sqrt(1 / len(used))
        return u

    def roots(self, price: FloatArray) -> FloatArray:
        """Return V (I, R) with |V alpha|^2 = alpha^T U alpha wherever alpha is within one block.

        U is the packed price matrix, without eigenvalues that are zero up to rounding.
        """
        if (one := self.alone) is not None:
            values, vectors = np.linalg.eigh(one.matrix(price))
            kept = np.flatnonzero(values > _SMALL)[::-1]
            return np.asarray(np.sqrt(values[kept])[:, None] * vectors[:, kept].T)
        found = np.zeros((max(group.size for group in self.groups), self.resources))
        for group in self.groups:
            values, vectors = np.linalg.eigh(group.matrices(price))
            scale = np.sqrt(np.where(values > _SMALL, values, 0.0))
            for rank in range(group.size):
                i = -1 - rank
                found[rank, group.members] = vectors[..., i] * scale[..., i, None]
        return found[found.any(axis=1)]


def _group(size: int, listed: list[tuple[IntArray, int]]) -> Group:
    upper, lower = np.triu_indices(size, 1)
    every = np.arange(size)
    members = np.array([block for block, _ in listed])
    starts = np.array([start for _, start in listed])
    places = starts[:, None] + np.arange(size * (size + 1) // 2)
    scale = np.concatenate((np.ones(size), np.full(len(upper), np.sqrt(2.0))))
    return Group(
        members, places, np.concatenate((every, upper)), np.concatenate((every, lower)), scale
    )


def one_block(resources: int) -> Packing:
    """Return the packing in which all resources may interact."""
    return Packing(resources, (np.arange(resources),))


THREE = one_block(3)
"""That of downlink, uplink and server."""
