"""Layers from their definitions, on numbers that count their own products.

Each function computes what a layer of PyTorch computes, by loops over scalars, so that its values
can be compared with those of the layer. Every multiply-accumulate on the way is one product of two
`Number`s: it counts once forward, and once backward for each operand that a gradient is wanted of
(the chain rule sends the product of the gradient and the other operand there). Nothing here knows
the operators that PyTorch runs, or a formula for them.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np


class Tally:
    """Products so far, forward and backward."""

    forward = 0
    backward = 0


class Number:
    """A real number; `needs` says whether a gradient is wanted of it."""

    def __init__(self, value, needs=False):
        self.value, self.needs = float(value), needs

    def __mul__(self, other):
        """Multiply and accumulate: this is what is counted."""
        Tally.forward += 1
        Tally.backward += self.needs + other.needs
        return Number(self.value * other.value, self.needs or other.needs)

    def __add__(self, other):
        """Add; not counted."""
        return Number(self.value + other.value, self.needs or other.needs)

    def times(self, other):
        """Multiply element by element; not counted."""
        return Number(self.value * other.value, self.needs or other.needs)

    def through(self, function):
        """Apply a function; not counted."""
        return Number(function(self.value), self.needs)


def numbers(array, needs=False):
    """Make an array of numbers of an array of floats."""
    made = np.empty(np.shape(array), dtype=object)
    for place in np.ndindex(made.shape):
        made[place] = Number(np.asarray(array)[place], needs)
    return made


def values(array):
    """Read the floats of an array of numbers."""
    found = np.array([item.value for item in array.ravel()])
    return found.reshape(array.shape)


def contraction(left, right, inner):
    """Sum products over matching indices: ``left[i, inner] * right[inner, j]``, by loops."""
    found = np.empty((left.shape[0], right.shape[1]), dtype=object)
    for row, column in product(range(left.shape[0]), range(right.shape[1])):
        total = Number(0)
        for index in range(inner):
            total = total + left[row, index] * right[index, column]
        found[row, column] = total
    return found


def linear(x, weight):
    """Map (..., inputs) to (..., outputs)."""
    flat = x.reshape(-1, x.shape[-1])
    return contraction(flat, weight.T, x.shape[-1]).reshape(*x.shape[:-1], -1)


def _position(at, offset, stride, padding, dilation):
    return [a * stride - padding + o * dilation for a, o in zip(at, offset, strict=True)]


def convolution(x, weight, stride=1, padding=0, dilation=1, groups=1):
    """Convolve (samples, channels, *size) with weights (out, channels / groups, *kernel)."""
    kernel = weight.shape[2:]
    sizes = [
        (side + 2 * padding - dilation * (k - 1) - 1) // stride + 1
        for side, k in zip(x.shape[2:], kernel, strict=True)
    ]
    per_group, made_per_group = weight.shape[1], weight.shape[0] // groups
    found = np.empty((x.shape[0], weight.shape[0], *sizes), dtype=object)
    padded = Number(0.0, x.flat[0].needs)
    for place in np.ndindex(found.shape):
        sample, channel, *at = place
        total = Number(0)
        for index in np.ndindex(per_group, *kernel):
            source, *offset = index
            position = _position(at, offset, stride, padding, dilation)
            inside = all(0 <= p < side for p, side in zip(position, x.shape[2:], strict=True))
            group = channel // made_per_group
            number = x[(sample, group * per_group + source, *position)] if inside else padded
            total = total + number * weight[(channel, *index)]
        found[place] = total
    return found


def transposed_convolution(x, weight, stride=1, padding=0, dilation=1, groups=1):
    """Spread (samples, channels, *size) by weights (channels, out / groups, *kernel)."""
    kernel = weight.shape[2:]
    sizes = [
        (side - 1) * stride - 2 * padding + dilation * (k - 1) + 1
        for side, k in zip(x.shape[2:], kernel, strict=True)
    ]
    found = numbers(np.zeros((x.shape[0], weight.shape[1] * groups, *sizes)))
    per_group = x.shape[1] // groups
    for place in np.ndindex(x.shape):
        sample, channel, *at = place
        for index in np.ndindex(weight.shape[1:]):
            made, *offset = index
            sent = x[place] * weight[(channel, *index)]
            position = _position(at, offset, stride, padding, dilation)
            if all(0 <= p < side for p, side in zip(position, sizes, strict=True)):
                to = (sample, channel // per_group * weight.shape[1] + made, *position)
                found[to] = found[to] + sent
    return found


def _sigmoid(value):
    return 1 / (1 + math.exp(-value))


def _gates(row, count):
    return np.split(row, count)


def recurrent(kind, x, weights, hidden, *, reverse=False):
    """Run one layer in one direction over (steps, samples, inputs) from a zero state.

    `weights` are w_ih, w_hh, b_ih, b_hh and, with projections, w_hr, as in PyTorch's docs.
    """
    w_ih, w_hh, b_ih, b_hh, *projection = weights
    steps, samples, _ = x.shape
    state = numbers(np.zeros((samples, w_hh.shape[1])))
    cell = numbers(np.zeros((samples, hidden)))
    found = np.empty((steps, samples, w_hh.shape[1]), dtype=object)
    for step in reversed(range(steps)) if reverse else range(steps):
        given, kept = linear(x[step], w_ih) + b_ih, linear(state, w_hh) + b_hh
        new = np.empty((samples, hidden), dtype=object)
        for s, j in np.ndindex(samples, hidden):
            if kind == "RNN":
                new[s, j] = (given[s, j] + kept[s, j]).through(math.tanh)
                continue
            if kind == "GRU":
                a, b = _gates(given[s], 3), _gates(kept[s], 3)
                r = (a[0][j] + b[0][j]).through(_sigmoid)
                z = (a[1][j] + b[1][j]).through(_sigmoid)
                n = (a[2][j] + r.times(b[2][j])).through(math.tanh)
                new[s, j] = z.through(lambda v: 1 - v).times(n) + z.times(state[s, j])
                continue
            i, f, g, o = (part[j] for part in _gates(given[s] + kept[s], 4))
            cell[s, j] = f.through(_sigmoid).times(cell[s, j]) + i.through(_sigmoid).times(
                g.through(math.tanh)
            )
            new[s, j] = o.through(_sigmoid).times(cell[s, j].through(math.tanh))
        state = linear(new, projection[0]) if projection else new
        found[step] = state
    return found


def attention(query, key, value):
    """Attend over (heads, positions, width) each; a head of keys serves several of queries."""
    serves = query.shape[0] // key.shape[0]
    found = []
    for head in range(query.shape[0]):
        scores = contraction(query[head], key[head // serves].T, query.shape[2])
        weights = np.empty(scores.shape, dtype=object)
        for row in range(len(scores)):
            scaled = values(scores[row]) / math.sqrt(query.shape[2])
            shares = np.exp(scaled - scaled.max()) / np.exp(scaled - scaled.max()).sum()
            weights[row] = numbers(shares, needs=query.flat[0].needs or key.flat[0].needs)
        found.append(contraction(weights, value[head // serves], key.shape[1]))
    return np.array(found)


def distances(one, two):
    """Map (rows, width) each to Euclidean distances: a square for each pair and coordinate."""
    found = np.empty((len(one), len(two)), dtype=object)
    for i, j in np.ndindex(found.shape):
        total = Number(0)
        for a, b in zip(one[i], two[j], strict=True):
            difference = a + b.through(lambda v: -v)
            total = total + difference * difference
        found[i, j] = total.through(math.sqrt)
    return found


def bilinear(one, two, weight):
    """Contract (samples, m), (samples, n), (outputs, m, n): one input first, then the other."""
    found = np.empty((len(one), len(weight)), dtype=object)
    for sample, made in np.ndindex(found.shape):
        half = contraction(one[sample : sample + 1], weight[made], one.shape[1])
        found[sample, made] = contraction(half, two[sample][:, None], two.shape[1])[0, 0]
    return found
