"""A folder with a checkpoint."""

from __future__ import annotations

import pytest

from splitopt.training.history import History, RoundRow
from splitopt.training.saving import checkpoint

torch = pytest.importorskip("torch", reason="needs the extra 'train'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a small checkpoint to damage: a function that writes it anew."""

    def write():
        place = tmp_path_factory.mktemp("state")
        history = History((RoundRow(1, 0.5, 8, phases_s={"upload": 1.0}),), {"data": "digits"})
        checkpoint.save(
            place, {"x": torch.arange(64.0)}, {"seed": 1, "options": {"lr": 1}}, history
        )
        return place, place / checkpoint.FILE, next(place.glob("*.safetensors"))

    return write
