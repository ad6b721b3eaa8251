"""The containers of torch.nn layer by layer: transformers, and recurrent layers on each other.

`torch.fx` takes every module of torch.nn for one operation. These hold layers that follow each
other, between which there are cuts like any others. What is traced here is what their forward
passes do, in the same operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.fx import Proxy, Tracer
from torch.fx.proxy import Scope, ScopeContextManager
from torch.nn import functional
from torch.nn.modules import transformer

from splitopt.profiles.tracing.fx.rewriting import STATES

_RECURRENT = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu"}
"""The mode of a recurrent layer -> the function of torch that computes it."""
_KINDS: tuple[type[nn.Module], ...] = (
    nn.TransformerEncoder, nn.TransformerDecoder, nn.LSTM, nn.GRU, nn.RNN,
)  # fmt: skip


def can_be_entered(module: nn.Module) -> bool:
    """Whether a module is such a container, as torch.nn has it, with several layers."""
    if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
        return False
    known = next((kind for kind in _KINDS if isinstance(module, kind)), None)
    if known is None or type(module).forward is not known.forward:
        return False
    count = module.num_layers if isinstance(module, nn.RNNBase) else len(module.layers)  # type: ignore[arg-type]
    return count > 1


def encoder_layers(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return layers and norm of an encoder that is called with its input alone, by name.

    Without masks it makes no nested tensors, and is what its layers are one after the other.
    """
    assert isinstance(module, nn.TransformerEncoder)
    found = [(f"layers.{name}", layer) for name, layer in module.layers.named_children()]
    return found if module.norm is None else [*found, ("norm", module.norm)]


def enter(tracer: Tracer, module: nn.Module, path: str) -> Callable[..., Any] | None:
    """Return the forward pass of a container in terms of its layers, None for other modules."""
    if not can_be_entered(module):
        return None
    if isinstance(module, nn.TransformerEncoder):
        return _encoder(tracer, module)
    if isinstance(module, nn.TransformerDecoder):
        return _decoder(tracer, module)
    assert isinstance(module, nn.RNNBase)
    return _recurrent(tracer, module, path)


def _encoder(tracer: Tracer, module: nn.TransformerEncoder) -> Callable[..., Any] | None:
    def forward(
        src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: Any = None
    ) -> Any:
        if src_key_padding_mask is not None and getattr(module, "use_nested_tensor", True):
            # In evaluation the encoder makes nested tensors of it, which cross no cut.
            path = tracer.path_of_module(module)
            arguments = (src, mask, src_key_padding_mask, is_causal)
            return tracer.create_proxy("call_module", path, arguments, {})
        if src_key_padding_mask is not None:
            # A second value that every layer reads, and that crosses beside what they give.
            other = None if mask is None else _call(tracer, functional._none_or_dtype, mask)
            given = src_key_padding_mask, "src_key_padding_mask", other, "mask", src.dtype
            src_key_padding_mask = _call(tracer, functional._canonical_mask, *given)
        if mask is not None:
            mask = _call(
                tracer, functional._canonical_mask, mask, "mask", None, "", src.dtype, False
            )
        causal = _causal(tracer, module, src, mask, is_causal)
        output = src
        for layer in module.layers:
            output = layer(
                output, src_mask=mask, is_causal=causal, src_key_padding_mask=src_key_padding_mask
            )
        return output if module.norm is None else module.norm(output)

    return forward


def _decoder(tracer: Tracer, module: nn.TransformerDecoder) -> Callable[..., Any]:
    def forward(
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: Any = None,
        memory_is_causal: Any = False,
    ) -> Any:
        causal = _causal(tracer, module, tgt, tgt_mask, tgt_is_causal)
        output = tgt
        for layer in module.layers:
            output = layer(
                output,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=causal,
                memory_is_causal=memory_is_causal,
            )
        return output if module.norm is None else module.norm(output)

    return forward


def _causal(tracer: Tracer, module: Any, source: Any, mask: Any, given: Any) -> Any:
    """Check in the graph whether a mask is the causal one, as the containers do."""
    if mask is None:
        return given is True
    length = _call(tracer, transformer._get_seq_len, source, module.layers[0].self_attn.batch_first)
    return _call(tracer, transformer._detect_is_causal_mask, mask, given, length)


def _call(tracer: Tracer, function: Callable[..., Any], *arguments: Any) -> Proxy:
    return tracer.create_proxy("call_function", function, arguments, {})


def _recurrent(tracer: Tracer, module: nn.RNNBase, path: str) -> Callable[..., Any]:
    """Call a function of torch for each layer, with that layer's own parameters.

    Dropout stands between the layers, as in the module. A bidirectional layer gives both
    directions side by side to the next.
    """
    function = getattr(torch, _RECURRENT[module.mode])
    directions = 2 if module.bidirectional else 1
    cells = module.mode == "LSTM"

    def forward(source: Any, hx: Any = None) -> Any:
        axis = 0 if module.batch_first else 1
        states: list[list[Any]] = [[], []]
        output = source
        for layer in range(module.num_layers):
            with _scope(tracer, f"{path}.l{layer}", module):
                given = _initial(tracer, module, output, axis, hx, layer * directions, directions)
                weights = [
                    getattr(module, name)
                    for own in module._all_weights[layer * directions : (layer + 1) * directions]
                    for name in own
                ]
                found: Any = _call(
                    tracer, function, output, given, weights, module.bias, 1, 0.0,
                    module.training, module.bidirectional, module.batch_first,
                )  # fmt: skip
                output = found[0]
                states[0].append(found[1])
                if cells:
                    states[1].append(found[2])
                if module.dropout and layer + 1 < module.num_layers:
                    output = _call(
                        tracer, functional.dropout, output, module.dropout, module.training
                    )
        joined = []
        for own in states[: 2 if cells else 1]:
            joined.append(_call(tracer, torch.cat, own))
            joined[-1].node.meta[STATES] = directions
        return output, tuple(joined) if cells else joined[0]

    return forward


def _initial(
    tracer: Tracer,
    module: nn.RNNBase,
    source: Any,
    axis: int,
    hx: Any,
    first: int,
    count: int,
) -> Any:
    """Return the states that a layer begins with: its own of those given, or zeros."""
    rows = slice(first, first + count)
    if hx is not None:
        return (hx[0][rows], hx[1][rows]) if module.mode == "LSTM" else hx[rows]

    def zeros(width: int) -> Proxy:
        size = (count, source.size(axis), width)
        kind = {"dtype": source.dtype, "device": source.device}
        return tracer.create_proxy("call_function", torch.zeros, (size,), kind)

    if module.mode != "LSTM":
        return zeros(module.hidden_size)
    return zeros(module.proj_size or module.hidden_size), zeros(module.hidden_size)


@contextmanager
def _scope(tracer: Tracer, path: str, module: nn.Module) -> Iterator[None]:
    """Mark nodes as those of a layer that is no module of its own."""
    with ScopeContextManager(tracer.scope, Scope(path, type(module))):
        tracer.module_stack[path] = (path, type(module))
        try:
            yield
        finally:
            tracer.module_stack.popitem(last=True)
