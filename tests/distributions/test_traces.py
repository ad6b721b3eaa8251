"""Traces from CSV files: what is read, and every kind of gap that is refused with its line."""

from __future__ import annotations

import numpy as np
import pytest

from splitopt.distributions import Trace, read_column, read_trace, write_trace
from splitopt.errors import InputError

QUANTITIES = ("compute_flop_per_s", "snr_db")
GOOD = """round,device,compute_flop_per_s,snr_db,remark
1,pi,1e9,17,
1,cam,2e9,5,x
2,cam,2.5e9,6,
2,pi,1.5e9,18,
"""


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a trace file."""

    def make(text):
        path = tmp_path / "trace.csv"
        path.write_text(text)
        return path

    return make


def test_a_trace_is_read(write):
    """Rows may come in any order within a round; columns that are not asked for are left alone."""
    trace = read_trace(write(GOOD), QUANTITIES)
    assert (trace.devices, trace.rounds) == (("pi", "cam"), 2)
    np.testing.assert_array_equal(trace.values["compute_flop_per_s"], [[1e9, 2e9], [1.5e9, 2.5e9]])
    np.testing.assert_array_equal(trace.at(1)["snr_db"], [18, 6])
    turned = trace.ordered(["cam", "pi"])
    np.testing.assert_array_equal(turned.values["snr_db"], [[5, 17], [6, 18]])


def test_what_is_written_reads_back(write):
    """`write_trace` loses nothing."""
    rng = np.random.default_rng(0)
    trace = Trace(("a", "b,c"), {name: rng.normal(size=(3, 2)) for name in QUANTITIES})
    copy = read_trace(write(write_trace(trace)), QUANTITIES)
    assert copy.devices == trace.devices
    for name in QUANTITIES:
        np.testing.assert_array_equal(copy.values[name], trace.values[name])


def test_one_column(write):
    """A column is a list of numbers."""
    assert read_column(write(GOOD), "snr_db") == [17, 5, 6, 18]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("2e9,5", ",5", "line 3: 'compute_flop_per_s' is missing"),
        ("2e9,5", "NaN,5", "line 3: 'compute_flop_per_s' is missing"),
        ("2e9,5", "2e9,n/a", "line 3: 'snr_db' is missing"),
        ("2e9,5", "fast,5", "line 3: compute_flop_per_s: is 'fast'; it must be a finite number"),
        ("2e9,5", "inf,5", "line 3: .* it must be a finite number"),
        ("2,cam", ",cam", "line 4: 'round' is missing"),
        ("2,cam", "2,", "line 4: 'device' is missing"),
        ("2,cam", "2,pi", "line 5: round '2' has 'pi' twice"),
        ("2,pi,1.5e9,18,\n", "", "round '2' has no row of the device 'pi'"),
        (",17,\n", "\n", "line 2 has 3 cells, the header has 5"),
        ("round,device", "run,device", "line 1: there is no column 'round'"),
        ("snr_db", "compute_flop_per_s", "the column 'compute_flop_per_s' stands twice"),
        ("compute_flop_per_s,snr_db", "speed,level", "has none of the columns compute_flop_per_s"),
    ],
)
def test_gaps_are_refused(write, old, new, words):
    """One sentence with the line or the round."""
    assert old in GOOD
    with pytest.raises(InputError, match=words):
        read_trace(write(GOOD.replace(old, new, 1)), QUANTITIES)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "line 1: has no header"), ("round,device,snr_db\n", "has a header but no rows")],
)
def test_empty_files_are_refused(write, text, words):
    """There must be a header and rows."""
    with pytest.raises(InputError, match=words):
        read_trace(write(text), QUANTITIES)
    with pytest.raises(InputError, match="there is no column 'speed'"):
        read_column(write(GOOD), "speed")


def test_devices_must_match(write):
    """A trace of other devices is refused in either direction."""
    trace = read_trace(write(GOOD), QUANTITIES)
    with pytest.raises(InputError, match="no rows of the device 'tv'"):
        trace.ordered(["pi", "cam", "tv"])
    with pytest.raises(InputError, match="'cam', which is not a device"):
        trace.ordered(["pi"])


@pytest.mark.parametrize("sign", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_traces_of_all_spreadsheets(write, sign, mark):
    """A byte-order mark, semicolons and tabs make no difference; decimal commas are named."""
    first = read_trace(write(GOOD), QUANTITIES)
    again = read_trace(write(mark + GOOD.replace(",", sign)), QUANTITIES)
    assert again.devices == first.devices
    for name, table in first.values.items():
        np.testing.assert_array_equal(again.values[name], table)
    assert read_column(write(mark + GOOD.replace(",", sign)), "snr_db") == [17, 5, 6, 18]
    with pytest.raises(InputError, match="decimal comma, write"):
        read_trace(write(GOOD.replace(",", ";").replace(".", ",")), QUANTITIES)


@pytest.mark.parametrize("cell", ["1" * 131_073, "1e999", "0x1", "1_0", "1" + "0" * 400])
def test_cells_that_are_no_numbers(write, cell):
    """Of any length, in the header as well."""
    with pytest.raises(InputError, match=r"line 3|field larger"):
        read_trace(write(GOOD.replace("2e9,5", f"{cell},5", 1)), QUANTITIES)
    with pytest.raises(InputError, match=r"line 1|none of the columns"):
        read_trace(write(GOOD.replace("snr_db", "1" * 131_073).replace("compute", "c")), QUANTITIES)


def test_a_device_with_a_control_character_is_refused(write):
    """It would steer a terminal."""
    with pytest.raises(InputError, match=r"device: is .*control character"):
        read_trace(write(GOOD.replace("pi", "p\x1b[2Ji")), QUANTITIES)
