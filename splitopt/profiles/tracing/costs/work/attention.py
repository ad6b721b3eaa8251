"""Multiply-accumulates of fused attention, and of what PyTorch runs for whole encoder layers.

A mask, causal or not, takes nothing off: the products are counted for all pairs of positions.
"""

from __future__ import annotations

import math
from typing import Any

from splitopt.profiles.tracing.costs.work.calls import Call
from splitopt.profiles.tracing.costs.work.products import Formula


def _pairs(call: Call) -> tuple[int, int, int]:
    """Return pairs of positions over all samples and heads, and the widths of key and value.

    Shapes (..., heads, positions, width); where keys have fewer heads, each serves several.
    """
    query, key, value = call.size("query"), call.size("key"), call.size("value")
    return math.prod(query[:-1]) * key[-2], query[-1], value[-1]


def _attention(call: Call) -> float:
    """Return those of scores and of their product with the values."""
    pairs, width, value_width = _pairs(call)
    return pairs * (width + value_width)


def _attention_backward(call: Call) -> float:
    """Return those of five products: the kernels compute the scores anew.

    Scores, gradients of scores and values, and of queries and keys, as in FlashAttention-2 (Dao,
    2023, Algorithm 2).
    """
    pairs, width, value_width = _pairs(call)
    return pairs * (3 * width + 2 * value_width)


def _multi_head(call: Call) -> float:
    """Return those of self-attention with its projections, in one operator (evaluation only)."""
    return sum(_self_attention(steps, call["embed_dim"]) for steps in _lengths(call["query"]))


def _encoder_layer(call: Call) -> float:
    """Return those of a whole encoder layer in one operator (evaluation only)."""
    feed_forward = math.prod(call.size("ffn_weight_1")) + math.prod(call.size("ffn_weight_2"))
    return sum(
        _self_attention(steps, call["embed_dim"]) + steps * feed_forward
        for steps in _lengths(call["src"])
    )


def _self_attention(steps: int, width: int) -> int:
    return 4 * steps * width * width + 2 * steps * steps * width


def _lengths(batch: Any) -> list[int]:
    """Return how long each sequence of a batch is; a nested one leaves the padding out."""
    if batch.is_nested:
        return [int(item.shape[0]) for item in batch.unbind()]
    samples, steps = batch.shape[0], batch.shape[1]
    return [int(steps)] * int(samples)


ATTENTION: dict[str, Formula] = {
    **{
        f"aten::_scaled_dot_product_{kind}": _attention
        for kind in (
            "flash_attention_for_cpu",
            "flash_attention",
            "efficient_attention",
            "cudnn_attention",
            "fused_attention_overrideable",
            "attention_math_for_mps",
        )
    },
    **{
        f"aten::_scaled_dot_product_{kind}_backward": _attention_backward
        for kind in (
            "flash_attention_for_cpu",
            "flash_attention",
            "efficient_attention",
            "cudnn_attention",
            "fused_attention_overrideable",
        )
    },
    "aten::_native_multi_head_attention": _multi_head,
    "aten::_transformer_encoder_layer_fwd": _encoder_layer,
}
"""Operator -> its multiply-accumulates."""
