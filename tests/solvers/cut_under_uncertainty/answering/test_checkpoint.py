"""A folder of answers: those of this run to the bit, and one run's at a time."""

from __future__ import annotations

import os

import numpy as np
import pytest

from splitopt.errors import InputError, InUseError
from splitopt.solvers.cut_under_uncertainty.answering.checkpoint import Checkpoint
from splitopt.solvers.cut_under_uncertainty.answering.inner import BatchResult

WORK = {"problem": "cut_under_uncertainty", "digest": "abc", "seed": 5}


def batch(first=0, stream=0):
    rows = np.arange(first, first + 4)
    members = np.tile(np.arange(3), (4, 1))
    return BatchResult(
        stream, 2, rows, rows + 0.25, rows + 0.125, members, members[:, :1], members[:, :1]
    )


@pytest.fixture
def folder(tmp_path):
    with Checkpoint(tmp_path / "kept", WORK) as kept:
        kept.keep(batch())
        kept.keep(batch(4))
    return tmp_path / "kept"


def rewrite(path, **changes):
    """Change arrays of a batch as somebody would who knows nothing of digests."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    np.savez(path, **arrays)


def load(folder, work=WORK):
    with Checkpoint(folder, work) as kept:
        return list(kept.load())


def test_what_was_kept_comes_back_to_the_bit(folder):
    found = load(folder)
    for got, kept in zip(found, (batch(), batch(4)), strict=True):
        assert (got.stream, got.cut) == (kept.stream, kept.cut)
        for name in ("samples", "value", "bound", "members", "sizes", "subcarriers"):
            assert np.array_equal(getattr(got, name), getattr(kept, name))
            assert getattr(got, name).dtype == getattr(kept, name).dtype
    assert sorted(os.listdir(folder))[-1] == "checkpoint.json"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"value": lambda a: a - 10}, "does not match its digest"),
        ({"bound": lambda a: a + 1e-15}, "does not match its digest"),
        ({"members": lambda a: a[:, ::-1]}, "does not match its digest"),
        ({"samples": lambda a: a + 100}, "does not match its digest"),
        ({"cut": lambda a: a + 1}, "does not match its digest"),
        ({"stream": lambda a: a + 1}, "does not match its digest"),
        ({"sizes": lambda a: a.astype(np.int32)}, "does not match its digest"),
        ({"digest": lambda a: np.array("0" * 64)}, "does not match its digest"),
        ({"value": lambda a: a * np.nan}, "value holds what is no number"),
        ({"bound": lambda a: np.array([0, np.nan, 1, 2])}, "bound holds what is no number"),
        ({"value": lambda a: a.astype(str)}, "value holds what is no number"),
    ],
)
def test_what_was_changed_is_refused(folder, changes, words):
    path = sorted(folder.glob("batch-*.npz"))[0]
    rewrite(path, **changes)
    with pytest.raises(InputError, match=words) as caught:
        load(folder)
    assert str(path) in str(caught.value)
    assert "remove it, its samples are answered anew" in str(caught.value)
    path.unlink()
    assert len(load(folder)) == 1


def test_a_batch_of_other_work_is_refused(folder, tmp_path):
    with Checkpoint(tmp_path / "other", {**WORK, "seed": 6}) as kept:
        kept.keep(batch(8))
    other = next((tmp_path / "other").glob("batch-*.npz"))
    (folder / other.name).write_bytes(other.read_bytes())
    with pytest.raises(InputError, match="does not match its digest"):
        load(folder)


def test_a_batch_without_a_digest_is_refused(folder):
    path = sorted(folder.glob("batch-*.npz"))[0]
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "digest"}
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="cannot be read"):
        load(folder)


def test_a_second_run_is_refused(folder):
    with Checkpoint(folder, WORK), pytest.raises(InUseError, match=f"process {os.getpid()} on"):
        Checkpoint(folder, WORK)
    with pytest.raises(InputError, match="of other work"):
        Checkpoint(folder, {**WORK, "seed": 6})
    assert len(load(folder)) == 2  # a refusal holds nothing


@pytest.mark.parametrize("left", [".splitopt-abc", ".splitopt-abcd0123.tmp", ".lock"])
def test_a_run_that_was_killed_at_once_keeps_nobody_out(tmp_path, left):
    """What it was writing first is no content; whatever else is there still is."""
    (tmp_path / left).write_text("")
    assert load(tmp_path) == []
    assert (tmp_path / "checkpoint.json").exists()
    (tmp_path / "checkpoint.json").unlink()
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and no checkpoint"):
        load(tmp_path)
