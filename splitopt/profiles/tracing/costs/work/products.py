"""Multiply-accumulates of products: matrices, vectors, convolutions, trilinear forms, distances.

Every function takes a `Call` and returns multiply-accumulates, which cost 2 FLOP each. Biases, and
whatever is done once per value of a result, count nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from splitopt.profiles.tracing.costs.work.calls import Call

Formula = Callable[[Call], float]


def _matrices(left: str, right: str) -> Formula:
    """Build the formula of a product (..., m, k) x (..., k, n) -> (..., m, n)."""

    def formula(call: Call) -> float:
        return math.prod(call.size(left)) * call.size(right)[-1]

    return formula


def _matrix_vector(matrix: str) -> Formula:
    def formula(call: Call) -> float:
        return math.prod(call.size(matrix))

    return formula


def _outer(call: Call) -> float:
    """Return those of a rank-1 update: m x n, as a matrix product over one index."""
    return math.prod(call.size("vec1")) * math.prod(call.size("vec2"))


def _vectors(call: Call) -> float:
    return math.prod(call.size("self"))


def _grouped_matrices(call: Call) -> float:
    """Return those of a product in groups: a matrix per group, or rows or columns of one each."""
    left, right = call.size("self"), call.size("mat2")
    if len(left) == len(right) == 3:
        return math.prod(left) * right[-1]
    return left[-2] * left[-1] * right[-1]


def _convolution(call: Call) -> float:
    """Return those of a convolution: every position passes each number of the weight once.

    The weight is (out, in / groups, kernel) or, transposed, (in, out / groups, kernel); the
    positions are those of the output or, transposed, of the input. Products with padded zeros
    count.
    """
    positions = call.size("input") if call["transposed"] else tuple(call.out.shape)
    return positions[0] * math.prod(positions[2:]) * math.prod(call.size("weight"))


def _convolution_backward(call: Call) -> float:
    """Return those of the gradients that are asked for; each costs what the forward pass does.

    Every multiply-accumulate of the forward pass takes an input and a weight, and sends one
    product to the gradient of each.
    """
    positions = call.size("input") if call["transposed"] else call.size("grad_output")
    forward = positions[0] * math.prod(positions[2:]) * math.prod(call.size("weight"))
    wanted: int = sum(bool(one) for one in call["output_mask"][:2])
    return forward * wanted


def _distances(call: Call) -> float:
    """Return those of all distances between two sets: one per pair and coordinate."""
    pairs: int = call.out.numel()
    return pairs * call.size("x1")[-1]


def _distances_backward(call: Call) -> float:
    """Return those of the gradient of one of the sets."""
    return math.prod(call.size("grad")) * call.size("x1")[-1]


def _distances_within(call: Call) -> float:
    rows, columns = call.size("self")
    return rows * (rows - 1) // 2 * columns


def _distances_within_backward(call: Call) -> float:
    """Return twice those of the forward pass: a pair sends gradients to both of its rows."""
    return 2 * _distances_within(call)


def _trilinear(call: Call) -> float:
    """Return those of a sum of products of three tensors, as PyTorch evaluates it.

    The first two are contracted over the summed indices that the third has not, then the result
    and the third over the others.
    """
    expanded = [set(call[f"expand{number}"]) for number in (1, 2, 3)]
    rank = len(call["i1"].shape) + len(expanded[0])
    sizes = [_expanded(call.size(f"i{number}"), expanded[number - 1], rank) for number in (1, 2, 3)]
    summed = set(call["sumdim"])
    first = summed & expanded[2]
    pair = _broadcast(sizes[0], sizes[1])
    left = [1 if index in first else size for index, size in enumerate(pair)]
    work = _pairwise(sizes[0], sizes[1], bool(first))
    return work + _pairwise(left, sizes[2], bool(summed - first))


def _pairwise(one: Sequence[int], two: Sequence[int], summing: bool) -> int:
    """Return those of a product of two: none if it is element-wise in the larger of them."""
    work = math.prod(_broadcast(one, two))
    return work if summing or work > max(math.prod(one), math.prod(two)) else 0


def _broadcast(one: Sequence[int], two: Sequence[int]) -> list[int]:
    return [max(a, b) for a, b in zip(one, two, strict=True)]


def _expanded(shape: Sequence[int], places: set[int], rank: int) -> list[int]:
    given = iter(shape)
    return [1 if index in places else next(given) for index in range(rank)]


PRODUCTS: dict[str, Formula] = {
    "aten::mm": _matrices("self", "mat2"),
    "aten::bmm": _matrices("self", "mat2"),
    "aten::_int_mm": _matrices("self", "mat2"),
    "aten::addmm": _matrices("mat1", "mat2"),
    "aten::addmm_": _matrices("mat1", "mat2"),
    "aten::_addmm_activation": _matrices("mat1", "mat2"),
    "aten::baddbmm": _matrices("batch1", "batch2"),
    "aten::baddbmm_": _matrices("batch1", "batch2"),
    "aten::addbmm": _matrices("batch1", "batch2"),
    "aten::addbmm_": _matrices("batch1", "batch2"),
    "aten::_grouped_mm": _grouped_matrices,
    "aten::mv": _matrix_vector("self"),
    "aten::addmv": _matrix_vector("mat"),
    "aten::addmv_": _matrix_vector("mat"),
    "aten::addr": _outer,
    "aten::addr_": _outer,
    "aten::dot": _vectors,
    "aten::vdot": _vectors,
    "aten::convolution": _convolution,
    "aten::_convolution": _convolution,
    "aten::convolution_overrideable": _convolution,
    "aten::convolution_backward": _convolution_backward,
    "aten::convolution_backward_overrideable": _convolution_backward,
    "aten::_trilinear": _trilinear,
    "aten::_euclidean_dist": _distances,
    "aten::_cdist_forward": _distances,
    "aten::_cdist_backward": _distances_backward,
    "aten::_pdist_forward": _distances_within,
    "aten::_pdist_backward": _distances_within_backward,
}
"""Operator -> its multiply-accumulates."""
