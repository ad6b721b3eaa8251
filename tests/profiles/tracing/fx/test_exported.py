"""Graphs of torch.export as chains: state, random numbers, stretches without gradients, devices."""

from __future__ import annotations

import importlib

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
nn = torch.nn

pytestmark = pytest.mark.train

equality = importlib.import_module("benchmarks.models.equality")
tracing = importlib.import_module("splitopt.profiles.tracing")
exported = importlib.import_module("splitopt.profiles.tracing.fx.exported")


class Odd(nn.Module):
    """Stops torch.fx; writes statistics, draws, leaves gradients out and works in place."""

    def __init__(self):
        super().__init__()
        self.one, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.two, self.three, self.drop = nn.Linear(4, 5), nn.Linear(5, 2), nn.Dropout(0.3)
        self.offset = torch.arange(5.0)

    def forward(self, x):
        if x.shape[1] != 3:
            raise ValueError("three channels")
        x = self.norm(self.one(x)).relu_()
        x = self.drop(x.mean((2, 3)))
        with torch.no_grad():
            fixed = self.two(x)
        with torch.autocast("cpu", enabled=False):
            x = self.two(x)
        x = x + torch.zeros_like(x) + self.offset + fixed
        x = x + torch.arange(5, device=x.device)
        return {"scores": self.three(x), "hidden": x}


class Asks(nn.Module):
    """Does something else where it is exported, as models of transformers do with masks."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        if x.shape[0] > 99:
            raise ValueError
        x = self.one(x)
        return self.two(x) * (3 if torch.compiler.is_exporting() else 1)


@pytest.mark.slow
def test_a_chain_of_both_modes_is_the_whole():
    """Buffers, gradients and outputs, by torch's own modules; the dictionary gives its first."""
    torch.manual_seed(0)
    module = Odd()
    split = tracing.find_cuts(module, torch.randn(2, 3, 6, 6))
    assert (split.method, split.difference) == ("export", 0.0)
    assert {"one", "norm", "drop"} <= set(split.cuts)
    own = split.module
    apart = equality.differences(own, split.cuts, split.segments, torch.randn(5, 3, 6, 6))
    assert apart == dict.fromkeys(split.cuts, 0.0)
    parts = split.segments(["drop"])
    assert "norm.num_batches_tracked" in parts[0].state_dict()
    assert "offset" not in parts[1].state_dict()


def test_nothing_is_bound_to_the_machine_of_the_export():
    """Tensors are made where the input is, by code that names no device."""
    module = Odd().train()
    graph, _ = exported.export_graph(module, (torch.randn(2, 3, 6, 6),))
    text = graph.python_code("self").src
    assert "device(type=" not in text
    assert "wrap_with" not in text
    assert "sym_size" not in text


def test_a_module_does_what_it_does_when_it_is_run():
    """What it asks of torch.compiler is answered as outside of an export, and then restored."""
    before = torch.compiler.is_exporting
    split = tracing.find_cuts(Asks(), torch.randn(2, 4))
    assert (split.method, split.difference) == ("export", 0.0)
    assert torch.compiler.is_exporting is before
