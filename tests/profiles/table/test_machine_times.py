from __future__ import annotations

import numpy as np
import pytest

from splitopt.errors import InputError
from splitopt.profiles import MachineTimes
from splitopt.profiles.table.machine_times import describe_rows


def test_an_unmeasured_row_carries_no_time():
    """A time in a row that is marked as not measured is refused by its row."""
    with pytest.raises(InputError, match="backward_s: entry 2 has a time"):
        MachineTimes([1.0, 0.0], [1.0, 2.0], [0.0, 0.0], [True, False])


@pytest.mark.parametrize("measured", ["yes", [1, 0], [[True], [False, True]], 3])
def test_the_mask_is_a_list_of_booleans(measured):
    """Numbers, texts and nested lists are not taken for a mask."""
    with pytest.raises(InputError, match="measured"):
        MachineTimes([1.0, 0.0], [1.0, 0.0], [0.0, 0.0], measured)


def test_columns_have_one_length():
    """A column of another length than the mask is refused."""
    with pytest.raises(InputError, match="forward_s: has 3 numbers, but there are 2 layers"):
        MachineTimes([1.0, 0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [True, True])


def test_rows_are_named_as_runs():
    """Neighbouring unmeasured rows are one run, counted from 1, with the names of its ends."""
    measured = np.array([True, False, False, False, True, False])
    assert describe_rows(measured, "abcdef") == "rows 2-4 (b to d), 6 (f)"
    assert describe_rows(np.array([False, True]), "ab") == "row 1 (a)"
