"""Files of times: written, read again, and refused."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import load_profile, with_times, write_times


def test_times_survive_a_file(tmp_path, make_profile):
    """What is written is read again, gaps included; the machine's name is in the file's."""
    profile = make_profile()
    path = write_times(profile, "board", tmp_path, batch=16)
    assert path.name == "three__board.csv"
    bare = make_profile(machines={})
    again = with_times(bare, path, batch=16).machines["board"]
    for column in ("forward_s", "backward_s", "update_s"):
        np.testing.assert_allclose(
            getattr(again, column), getattr(profile.machines["board"], column)
        )
    assert again.measured.tolist() == [True, False, True]


def test_the_form_is_that_of_the_shipped_files(tmp_path):
    """A shipped machine that is written for its batch of 128 equals the shipped file."""
    from importlib import resources

    profile = load_profile("vgg19-cifar")
    path = write_times(profile, "d1", tmp_path, batch=128)
    shipped = resources.files("splitopt.profiles") / "data" / "measured" / "vgg19_CIFAR__d1.csv"
    mine = np.loadtxt(path, delimiter=",")
    theirs = np.array([[float(c) for c in line.split(",")] for line in shipped.read_text().split()])
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3\n4,5,6\n", "has 2 rows, but three has 3 layers"),
        ("1,2,3\n1,2\n1,2,3\n", "line 2 is '1,2'; give three numbers"),
        ("1,2,3\n1,2,nan\n1,2,3\n", "line 2"),
        ("1,2,3\n1,-2,3\n1,2,3\n", "line 2"),
        ("1,2,3\n0,0,3\n1,2,3\n", "an update but neither forward nor backward"),
        ("", "has no rows"),
    ],
)
def test_bad_files_are_refused(tmp_path, make_profile, text, words):
    """One sentence with file and line."""
    path = tmp_path / "three__pi.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        with_times(make_profile(), path, batch=8)


def test_bad_calls_are_refused(tmp_path, make_profile):
    """A batch below one, and a machine that is there already."""
    path = write_times(make_profile(), "board", tmp_path, batch=8)
    with pytest.raises(InputError, match="has a machine 'board' already"):
        with_times(make_profile(), path, batch=8)
    with pytest.raises(InputError, match="batch: is 0"):
        with_times(make_profile(), path, batch=0, machine="pi")
