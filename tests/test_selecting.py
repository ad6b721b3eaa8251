"""Tests that are left out are those that the options name, and no others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.selecting import spread

TESTS = """
import pytest
@pytest.mark.slow
@pytest.mark.parametrize("n", range(10))
def test_many(n): pass
@pytest.mark.slow
@pytest.mark.every_case
@pytest.mark.parametrize("n", range(5))
def test_each(n): pass
@pytest.mark.parametrize("n", range(4))
def test_quick(n): pass
"""


def test_cases_are_spread_over_all():
    names = [str(n) for n in range(10)]
    assert spread(names, 3) == ["0", "3", "6"]
    assert spread(names, 10) == spread(names, 12) == names
    assert spread(names, 1) == ["0"]
    assert len(set(spread(names, 9))) == 9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "ran", "skipped"),
    [
        ((), ["many"] * 10 + ["each"] * 5 + ["quick"] * 4, 0),
        (("--cases=3",), ["many0", "many3", "many6"] + ["each"] * 5 + ["quick"] * 4, 0),
        (("--within=0",), [], 19),
        (("--within=3600",), ["many"] * 10 + ["each"] * 5 + ["quick"] * 4, 0),
    ],
)
def test_a_run_with_these_options(tmp_path, options, ran, skipped):
    """Cases of slow tests are thinned out, those of others and marked ones are not."""
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text(
        "from tests import selecting\n"
        "def pytest_addoption(parser): selecting.add_options(parser)\n"
        "def pytest_configure(config):\n"
        "    given = config.option\n"
        "    config.pluginmanager.register(selecting.Limits(given.cases, given.within))\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  slow: a\n  every_case: b\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-ra",
            "-p",
            "no:cacheprovider",
            *options,
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.split("::test_")[1] for line in done.stdout.splitlines() if "::test_" in line]
    passed = [line.partition(" ")[0] for line in lines if "PASSED" in line]
    assert all(one.replace("[", "").startswith(name) for one, name in zip(passed, ran, strict=True))
    assert sum("SKIPPED" in line for line in lines) == skipped
    assert ("not reached within 0 s" in done.stdout) == bool(skipped)
