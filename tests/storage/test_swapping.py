"""Two folders change places in one step, or nothing happens."""

from __future__ import annotations

import ctypes
import sys

import pytest

from splitopt.storage import swapping
from splitopt.storage.swapping import exchange


@pytest.fixture
def pair(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"of-{name}").write_text("")
    return tmp_path / "one", tmp_path / "two"


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="there is no such call")
def test_two_folders_change_places(pair):
    assert exchange(*pair)
    assert (pair[0] / "of-two").exists()
    assert (pair[1] / "of-one").exists()
    with pytest.raises(FileNotFoundError):
        exchange(pair[0], pair[1].with_name("three"))
    assert (pair[0] / "of-two").exists()


def test_a_system_without_the_call_says_so(pair, monkeypatch):
    monkeypatch.setattr(swapping.sys, "platform", "win32")
    assert not exchange(*pair)

    def none(*_, **__):
        raise OSError("there is no such library")

    monkeypatch.undo()
    monkeypatch.setattr(ctypes, "CDLL", none)
    assert not exchange(*pair)
    assert (pair[0] / "of-one").exists()
