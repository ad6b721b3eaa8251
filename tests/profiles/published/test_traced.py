"""The shipped tables of shipped networks are what tracing gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from splitopt.errors import InputError
from splitopt.profiles.published.traced import TRACED, traced_profile


@pytest.mark.train
@pytest.mark.parametrize("name", TRACED)
def test_the_table_is_what_tracing_gives(name):
    """A network that is changed without its table is noticed here."""
    torch = pytest.importorskip("torch", reason="needs the extra 'train'")
    from splitopt.models import build
    from splitopt.profiles import trace

    model, shape = TRACED[name]
    found = trace(build(model, shape), torch.randn(2, *shape), name=name, keep_all=True)
    assert replace(found.profile, trace=None) == traced_profile(name)
    record = found.profile.trace
    method = "fx" if model == "alexnet" else "sequential"
    assert (record.method, record.input_shape) == (method, shape)


def test_another_name_is_refused():
    """The names are listed."""
    with pytest.raises(InputError, match="choose cnn-digits, cnn-fashion-mnist"):
        traced_profile("cnn-cifar")
