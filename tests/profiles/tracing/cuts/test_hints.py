"""What is said of a model that cannot be cut: first what to do."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
from torch import nn  # noqa: E402

from splitopt.errors import InputError  # noqa: E402
from splitopt.profiles.tracing import find_cuts  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(autouse=True)
def strict_floats():
    """PyTorch does its own arithmetic."""
    with np.errstate(all="warn"):
        yield


class Layers(nn.Module):
    """Three layers and a branch on values, which no tracer follows."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x):
        x = self.c(self.b(self.a(x)))
        return x if x.isfinite().all() else 0 * x


def message(model, example=None):
    with pytest.raises(InputError) as raised:
        find_cuts(model, torch.randn(2, 6) if example is None else example)
    return str(raised.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.slow
def test_compiled_models_are_asked_for_the_original():
    """Whole, or with a compiled layer in them, and those of torch.jit."""
    compiled = torch.compile(Layers())
    assert "is compiled by torch.compile" in message(compiled)
    assert "pass the original module" in message(compiled)
    inside = nn.Sequential(nn.Linear(6, 6), torch.compile(nn.Linear(6, 3)))
    assert message(inside).startswith("its submodule 1 is compiled by torch.compile")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_models_of_jit_are_asked_for_the_original():
    """They have no layers that could be taken apart."""
    traced = torch.jit.trace(nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3)), torch.randn(2, 6))
    assert "of torch.jit" in message(traced)
    assert "pass the original module" in message(traced)


@pytest.mark.slow
def test_what_to_do_stands_first():
    """And what was tried last, without what is no news."""
    said = message(Layers())
    assert said.startswith("no cut was found; declare stages: give the module a method")
    assert said.index("(tried: fx: ") > said.index("--stages a,b,c")
    assert "is not an nn.Sequential" not in said


@pytest.mark.slow
def test_a_cache_of_keys_is_no_reason():
    """It is off while a model is traced, as models of transformers have it."""

    class Caching(Layers):
        config = SimpleNamespace(use_cache=True)

        def forward(self, x):
            assert not self.config.use_cache
            return super().forward(x)

    with pytest.raises(AssertionError):
        Caching()(torch.randn(2, 6))
    assert "use_cache" not in message(Caching())
    assert Caching.config.use_cache


def test_ends_that_share_a_weight():
    """Every value lies between its two uses."""

    class Tied(Layers):
        def forward(self, x):
            x = nn.functional.linear(x, self.a.weight)
            return nn.functional.linear(self.b(x), self.a.weight.t())

    assert "each its own where it is built (tie_word_embeddings=False" in message(Tied())


class Table(Layers):
    """A table that all layers read, made like the first value, or from its numbers."""

    def __init__(self, from_numbers):
        super().__init__()
        self.register_buffer("steps", torch.arange(1.0, 6.0))
        self.a, self.c = nn.Linear(6, 5), nn.Linear(5, 3)
        self.from_numbers = from_numbers

    def forward(self, x):
        x = self.a(x)
        table = self.steps.type_as(x) + torch.zeros_like(x[:1])
        if self.from_numbers:
            table = table * x.mean(1, keepdim=True)
        x = x + self.b(x) * table.sin()
        return self.c(x + self.b(x) * table.cos())


def test_a_table_that_all_layers_read():
    """Made like a value it is no value to send; made from numbers it is, and that is said."""
    model = Table(from_numbers=False)
    model.b = nn.Identity()  # its weights would stand on both sides
    assert find_cuts(model, torch.randn(2, 6)).cuts == ("a", "add", "add#2")
    said = message(nn.Sequential(Bare()))
    assert "what many layers read beside it, such as a table or a mask" in said


class Bare(nn.Module):
    """Reads its input in every layer."""

    def forward(self, x):
        return x + x.sin() * x.cos()
