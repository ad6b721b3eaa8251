"""Quantities: text with units in, SI numbers out, and back exactly."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitopt.errors import InputError
from splitopt.units import KINDS, parse, render


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("100 Mbit/s", "rate", 1e8),
        ("100Mbps", "rate", 1e8),
        ("5 MB/s", "rate", 4e7),
        ("1 Gibit/s", "rate", 2.0**30),
        ("3.62 GFLOP/s", "compute speed", 3.62e9),
        ("3.62 GFLOPS", "compute speed", 3.62e9),
        ("3.62 GMAC/s", "compute speed", 7.24e9),
        ("4 GiB", "size", 4 * 2.0**30),
        ("4 GB", "size", 4e9),
        ("8 bit", "size", 1.0),
        ("20 ms", "time", 0.02),
        ("2 h", "time", 7200.0),
        ("200 mW", "power", 0.2),
        ("20 MHz", "bandwidth", 2e7),
        ("4e-21 W/Hz", "noise density", 4e-21),
        ("4e-18 mW/Hz", "noise density", 4e-21),
    ],
)
def test_reads_what_people_write(text, kind, value):
    """Every usual way of writing gives the SI number worked out by hand."""
    assert parse(text, kind) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ("100 Mbit", "rate", "not a unit of rate"),
        ("100 MHz", "rate", "not a unit of rate"),
        ("3 GFLOP", "compute speed", "not a unit of compute speed"),
        ("3 GFLOP/s", "rate", "not a unit of rate"),
        ("100", "rate", "no unit"),
        (100, "rate", "no unit"),
        (1.5, "size", "no unit"),
        (True, "rate", "is not a rate"),
        (None, "rate", "is not a rate"),
        (["1 bit/s"], "rate", "is not a rate"),
        ("fast", "rate", "not a number with a unit"),
        ("", "rate", "not a number with a unit"),
        ("nan Mbit/s", "rate", "not a finite number"),
        ("inf Mbit/s", "rate", "not a finite number"),
        ("5 parsec", "rate", "unknown"),
        ("1,000 Mbit/s", "rate", "without separators"),
        ("5 Mbit/s/", "rate", "unknown"),
        ("1e400 bit/s", "rate", "not a finite number"),
        ("9" * 300 + " bit/s", "rate", "not a number with a unit"),
    ],
)
def test_refuses_what_does_not_fit(value, kind, words):
    """A wrong quantity is refused in one sentence with a right one or its unit."""
    with pytest.raises(InputError, match=words) as caught:
        parse(value, kind)
    assert any(text in str(caught.value) for text in (KINDS[kind].example, *KINDS[kind].usual))


@pytest.mark.parametrize("text", ["100 mbit/s", "100 mbps", "3 mFLOP/s", "20 mHz"])
def test_milli_where_mega_is_meant_is_refused(text):
    """A milli of information, work or bandwidth is what nobody has; mega is proposed."""
    kind = {"F": "compute speed", "H": "bandwidth"}.get(text.split()[1][1], "rate")
    with pytest.raises(InputError) as caught:
        parse(text, kind)
    assert f"for mega write {text.replace('m', 'M', 1)!r}" in str(caught.value)


def test_milli_watt_and_milli_second_are_quiet():
    """Milliwatts and milliseconds are what they say."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse("200 mW", "power") == 0.2
        assert parse("5 ms", "time") == 0.005


@given(st.floats(min_value=1e-30, max_value=1e30, allow_nan=False), st.sampled_from(sorted(KINDS)))
def test_written_numbers_read_back_exactly(value, kind):
    """`parse(render(x)) == x` for any positive number of any kind."""
    assert parse(render(value, kind), kind) == value


def test_readable_prefixes_are_chosen():
    """Round numbers are written the way people write them."""
    assert render(1e8, "rate") == "100 Mbit/s"
    assert render(4 * 2.0**30, "size") == "4 GiB"
    assert render(7.24e9, "compute speed") == "7.24 GFLOP/s"
