"""Schemes with privacy, of small models."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")
pytest.importorskip("opacus", reason="needs the extra 'privacy'")

from splitopt.training.options import Options  # noqa: E402
from splitopt.training.preparing.private import guarded  # noqa: E402
from splitopt.training.privacy.guard import own_losses  # noqa: E402
from splitopt.training.privacy_options import Privacy  # noqa: E402
from splitopt.training.schemes import SCHEMES  # noqa: E402

HUGE = 1e9


@pytest.fixture
def private(make):
    """Return a function that makes a scheme with privacy, and one that makes it without."""

    def build(name, model, clients, split=None, loss=torch.nn.functional.cross_entropy, **given):
        fields = {key: given.pop(key) for key in list(given) if key not in _OPTIONS}
        privacy = Privacy(**{"clip_norm": HUGE, "noise_multiplier": 0.0, **fields})
        options = Options(privacy=privacy, **given)
        program = SimpleNamespace(groups=(), plays=name)
        own = guarded(clients, SCHEMES[name], program, options)
        return SCHEMES[name](model, own, options, split or make.split, own_losses(loss))

    return build


_OPTIONS = set(Options.__dataclass_fields__)
