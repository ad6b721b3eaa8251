"""Readable Python for the parts of a model: a class per part that takes the model.

It does what the parts of `SplitModel.segments` do: those of a chain of layers call them in turn,
those of a graph run the code that torch.fx writes for it.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import json
import keyword
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from splitopt.errors import CapabilityError
from splitopt.profiles.tracing.cuts.chain import StepChain
from splitopt.profiles.tracing.cuts.graph import GraphChain, PieceCode
from splitopt.profiles.tracing.fx.writing import source_of
from splitopt.profiles.tracing.split import Span, SplitModel

INDENT = "    "
_MOST_NUMBERS = 1024
_MEND = "make it a submodule of the model, or a function of a module that can be imported"


@dataclass(frozen=True)
class PartCode:
    """The class of one part.

    Parameters
    ----------
    takes
        Submodules, parameters and buffers of the model that it uses, by their names.
    body
        The lines of the class below its docstring, with their indentation.
    imports
        Lines that must stand at the top of the file.
    """

    takes: tuple[str, ...]
    body: str
    imports: frozenset[str]

    def class_text(self, name: str, title: str) -> str:
        """Return the definition of the class."""
        takes = "".join(f"{2 * INDENT}{json.dumps(item)},\n" for item in self.takes)
        listed = f"(\n{takes}{INDENT})" if takes else "()"
        return (
            f'class {name}(Part):\n{INDENT}"""{title}"""\n\n{INDENT}takes = {listed}\n\n{self.body}'
        )


def code_of(split: SplitModel, span: Span, inputs: int) -> PartCode:
    """Write the class of what lies between two values of a split model.

    Parameters
    ----------
    split
        The model with its cuts.
    span
        One of ``split.spans(cuts)``.
    inputs
        How many tensors the whole model takes.

    Raises
    ------
    CapabilityError
        It uses what cannot be written as code: a function that has no name, a module that is none
        of the model's, a large tensor that the model does not register.
    """
    chain = split.chain
    if isinstance(chain, StepChain):
        several = span.first == 0 and inputs > 1
        return _steps_code(chain.steps(span.first, span.last), split.module, span.copy, several)
    assert isinstance(chain, GraphChain)
    return graph_code(chain.codes(span.first, span.last, copy=span.copy))


def attribute(root: str, name: str) -> str:
    """Write how to reach a dotted name from a root: ``getattr(self.layer1, "0").conv1``."""
    for step in name.split("."):
        plain = step.isidentifier() and not keyword.iskeyword(step)
        root = f"{root}.{step}" if plain else f"getattr({root}, {json.dumps(step)})"
    return root


def _steps_code(
    steps: Iterable[tuple[str, Callable[..., Any]]], module: nn.Module, copy: bool, several: bool
) -> PartCode:
    """Write a forward pass that calls modules and functions in turn."""
    takes: list[str] = []
    made: list[str] = []
    imports: set[str] = set()
    lines = []
    if copy:
        lines.append("x = x.clone()  # the first layer works in place")
    known = dict(module.named_modules(remove_duplicate=False))
    for index, (name, step) in enumerate(steps):
        given = "*inputs" if several and index == 0 else "x"
        if known.get(name) is step:
            takes.append(name)
            called = attribute("self", name)
        elif isinstance(step, nn.Module):
            made.append(f"self.{name} = {_written_module(name, step)}")
            called = f"self.{name}"
        else:
            called, needed = _function(name, step)
            imports |= needed
        lines.append(f"x = {called}({given})")
    entry = "*inputs" if several else "x"
    body = _initialiser(made) + _method("forward", entry, [*lines, "return x"])
    return PartCode(tuple(dict.fromkeys(takes)), body, frozenset(imports))


def graph_code(codes: Mapping[bool, PieceCode]) -> PartCode:
    """Write the forward pass that torch.fx gives for a graph, one for each mode if they differ."""
    takes: dict[str, None] = {}
    constants: dict[str, Tensor] = {}
    imports: set[str] = set()
    methods = {}
    for training, code in codes.items():
        for name, value in code.targets.items():
            if name not in code.constants:
                takes[name] = None
            elif not torch.equal(constants.setdefault(name, value), value):
                raise CapabilityError(
                    f"the model makes the tensor {name!r} anew in each mode, which an export "
                    "cannot tell apart; register it as a buffer"
                )
        written, names = source_of(code.graph)
        text = written[written.index("def forward(") :]
        methods[training] = text
        imports |= _imports(text, names)
    made = [_constant(name, value) for name, value in constants.items()]
    if len(methods) == 1:
        body = _indented(methods[True])
    else:
        lines = [
            "forward = self._in_training if self.training else self._in_evaluation",
            "return forward(*inputs)",
        ]
        body = "\n".join(
            [
                _method("forward", "*inputs", lines),
                _indented(methods[True].replace("def forward(", "def _in_training(", 1)),
                _indented(methods[False].replace("def forward(", "def _in_evaluation(", 1)),
            ]
        )
    return PartCode(tuple(takes), _initialiser(made) + body, frozenset(imports))


def _method(name: str, entry: str, lines: Iterable[str]) -> str:
    body = "".join(f"{2 * INDENT}{line}\n" for line in lines)
    return f"{INDENT}def {name}(self, {entry}):\n{body}"


def _initialiser(lines: list[str]) -> str:
    """Write what a part makes itself, if anything."""
    if not lines:
        return ""
    return _method("__init__", "model", ["super().__init__(model)", *lines]) + "\n"


def _indented(text: str) -> str:
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return "".join(f"{INDENT}{line}\n" if line else "\n" for line in lines)


def _imports(text: str, space: Mapping[str, Any]) -> set[str]:
    """Write the import of every name that a function uses and does not define."""
    names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
    stored = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    used = {node.id for node in names} - stored
    return {
        _import(name, space[name])
        for name in used
        if name in space and getattr(builtins, name, None) is not space[name]
    }


def _import(name: str, value: Any) -> str:
    """Write the line that gives a name its value."""
    if isinstance(value, ModuleType):
        path = value.__name__
        return f"import {path}" if path == name else f"import {path} as {name}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"from math import {name}"
    if value is type(None):
        return f"{name} = type(None)"
    place, attribute_name = _importable(value, name)
    return f"from {place} import {attribute_name}" + (
        "" if attribute_name == name else f" as {name}"
    )


def _importable(value: Any, name: str) -> tuple[str, str]:
    """Return the module and the name that a function or class is imported by."""
    place = getattr(value, "__module__", None) or ""
    known = [getattr(value, field, "") for field in ("__qualname__", "__name__")]
    for module in dict.fromkeys((place, *_PUBLIC)):
        if module in ("", "__main__") or module.partition(".")[0] == "splitopt":
            continue
        for own in known:
            try:
                if getattr(importlib.import_module(module), own, None) is value:
                    return module, own
            except ImportError:
                break
    raise CapabilityError(
        f"the model calls {known[0] or name!r}, which cannot be imported by a name, so it cannot "
        f"be written as code; {_MEND}"
    )


_PUBLIC = ("torch", "torch.nn.functional", "operator", "math")
"""Where functions stand that do not know their own module."""


def _function(name: str, step: Callable[..., Any]) -> tuple[str, set[str]]:
    """Write a stage that is a function, and what it needs imported."""
    if isinstance(step, functools.partial):
        called, needed = _function(name, step.func)
        arguments = [*map(repr, step.args), *(f"{k}={v!r}" for k, v in step.keywords.items())]
        try:
            for value in (*step.args, *step.keywords.values()):
                ast.literal_eval(repr(value))
        except (ValueError, SyntaxError):
            raise CapabilityError(
                f"stage {name!r} has arguments that are no plain numbers or texts; {_MEND}"
            ) from None
        joined = ", ".join([called, *arguments])
        return f"functools.partial({joined})", {*needed, "import functools"}
    place, known = _importable(step, name)
    return f"{place}.{known}", {f"import {place}"}


def _written_module(name: str, step: nn.Module) -> str:
    """Write a module of torch.nn without weights that a stage brings along."""
    text = f"nn.{step!r}"
    try:
        again = eval(text, {"nn": nn}) if not list(step.state_dict()) else None
    except Exception:
        again = None
    if type(again) is not type(step) or _settings(again) != _settings(step):
        raise CapabilityError(
            f"stage {name!r} is a {type(step).__name__} that is none of the model's submodules; "
            f"{_MEND}"
        )
    return text


def _settings(module: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name != "training"
    }


def _constant(name: str, value: Any) -> str:
    """Write a tensor that the model makes on the way as numbers."""
    if not isinstance(value, Tensor) or value.numel() > _MOST_NUMBERS:
        raise CapabilityError(
            f"the model makes a {type(value).__name__} on the way that is too large to be written "
            f"as code (more than {_MOST_NUMBERS} numbers); register it as a buffer"
        )
    numbers = repr(value.tolist()).replace("inf", 'float("inf")').replace("nan", 'float("nan")')
    made = f"torch.tensor({numbers}, dtype={value.dtype})"
    return f'self.register_buffer("{name}", {made}, persistent=False)'
