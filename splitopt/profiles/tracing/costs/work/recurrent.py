"""Multiply-accumulates of the kernels that run whole recurrent layers: LSTM, GRU and plain RNN.

A step of a layer multiplies the weights of its input, of its state and of its projection with one
vector each, for every sample; the gates are element-wise. So each matrix of weights costs its
numbers times the steps of all samples. Backward, each trained matrix costs that once more, and
so does every gradient of an input or a state; of the first state there is one only where it is
asked for. PyTorch's own loop over the steps, which runs where no kernel does, comes to the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from splitopt.profiles.tracing.costs.work.calls import Call
from splitopt.profiles.tracing.costs.work.products import Formula


def _steps(call: Call) -> tuple[int, int]:
    """Return the steps of all samples together, and how many sequences there are.

    Inputs end with the values of a step, whether packed or not; states are (..., sequences, size).
    """
    size, states = call.size("input"), call["hx_" if "hx_" in call.arguments else "hx"]
    first = states if isinstance(states, Tensor) else states[0]
    return math.prod(size[:-1]), int(first.shape[-2])


def _matrices(weights: Sequence[Any]) -> list[Tensor]:
    return [item for item in weights if isinstance(item, Tensor) and item.dim() == 2]


def _one_layer(call: Call) -> float:
    """Return those of a layer in one direction, as oneDNN runs it on CPUs."""
    steps, _ = _steps(call)
    return steps * sum(item.numel() for item in _matrices([call["weight0"], call["weight1"]]))


def _one_layer_backward(call: Call) -> float:
    steps, sequences = _steps(call)
    into, state = math.prod(call.size("weight1")), math.prod(call.size("weight2"))
    work: int = steps * into * (call.needs("input") + call.needs("weight1"))
    if call.needs("weight2"):
        work += steps * state
    return work + (steps if call.needs("hx_") else steps - sequences) * state


def _all_layers(weights: str) -> Formula:
    """Build the formula of a kernel that runs all layers and directions."""

    def formula(call: Call) -> float:
        return _steps(call)[0] * sum(item.numel() for item in _matrices(call[weights]))

    return formula


def _all_layers_backward(call: Call) -> float:
    """Return those of the gradients that `output_mask` asks for: input, state, cell, weights."""
    steps, sequences = _steps(call)
    wants_input, wants_state, _, wants_weights = call["output_mask"]
    per_set = _matrices_per_set(call)
    matrices = _matrices(call["weight"])
    whole = sum(item.numel() for item in matrices)
    directions = 2 if call["bidirectional"] else 1
    work = steps * whole * (1 + bool(wants_weights))
    if not wants_input:
        firsts = matrices[: directions * per_set : per_set]
        work -= steps * sum(item.numel() for item in firsts)
    if not wants_state:
        work -= sequences * sum(item.numel() for item in matrices[1::per_set])
    return work


def _matrices_per_set(call: Call) -> int:
    """Return how many matrices a layer has in one direction: input, state, projection."""
    return 3 if call.arguments.get("proj_size") else 2


RECURRENT: dict[str, Formula] = {
    "aten::mkldnn_rnn_layer": _one_layer,
    "aten::mkldnn_rnn_layer_backward": _one_layer_backward,
    "aten::_cudnn_rnn": _all_layers("weight"),
    "aten::_cudnn_rnn_backward": _all_layers_backward,
    "aten::miopen_rnn": _all_layers("weight"),
    "aten::miopen_rnn_backward": _all_layers_backward,
    "aten::_lstm_mps": _all_layers("params"),
}
"""Operator -> its multiply-accumulates."""
