"""Loops as machine code: kept, told, and no mistake where nothing can be kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from splitopt.problems.compiling import compiled, helper, plain

ROOT = Path(__file__).parents[2]
LOOPS = '''
"""Two loops, one of which is part of the other."""
from splitopt.problems.compiling import compiled, helper
RAISE = 2.0

@helper
def part(x):
    return x + RAISE

@compiled
def whole(x):
    return 10 * part(x)
'''
CALL = """
import logging, sys
import splitopt
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
splitopt.__path__.append({place!r})
from splitopt import made_up as module
print(module.whole(1.0), sum(module.whole.machine_code.stats.cache_hits.values()))
"""


@pytest.fixture
def module(tmp_path):
    """Write a module of loops, as if it were one of splitopt's, and give a way to run it."""

    def run(text=LOOPS, **environment):
        place = tmp_path / "made_up.py"
        if not place.exists() or place.read_text() != text:  # older numba goes by its time
            place.write_text(text)
        code = CALL.format(place=str(tmp_path))
        kept = {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
        env = {**os.environ, **kept, **environment, "PYTHONPATH": str(ROOT)}
        env = {name: value for name, value in env.items() if value is not None}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.mark.slow
def test_machine_code_is_kept_and_compiling_is_told_once(module):
    told = "compiling the search once for this machine ..."
    assert module() == [told, "30.0 0"]
    assert module() == ["30.0 1"]


@pytest.mark.slow
def test_a_part_that_changes_is_compiled_anew(module, tmp_path):
    module()
    assert module(LOOPS.replace("RAISE = 2.0", "RAISE = 3.0"))[-1] == "40.0 0"


@pytest.mark.slow
def test_damaged_files_are_compiled_over(module, tmp_path):
    module()
    for path in (tmp_path / "kept").rglob("*.nb?"):
        path.write_bytes(path.read_bytes()[:40])
    assert module()[-1] == "30.0 0"
    assert module() == ["30.0 1"]


@pytest.mark.parametrize("home", ["missing", "absent"])
@pytest.mark.slow
def test_nothing_has_to_be_kept(module, tmp_path, home):
    """No folder can be written: each is below a file, which root cannot write in either."""
    wall = tmp_path / "wall"
    wall.write_text("")
    (tmp_path / "__pycache__").write_text("")  # where numba would keep code beside the module
    homes = {"missing": str(wall / "home"), "absent": None}
    changes = {"NUMBA_CACHE_DIR": str(wall / "code"), "HOME": homes[home]}
    changes["XDG_CACHE_HOME"] = str(wall / "cache")
    told = "compiling the search for this run, as no folder can keep it ..."
    assert module(**changes) == [told, "30.0 0"]


def test_the_plain_self_has_its_parts_with_it():
    names: dict[str, object] = {}
    exec(LOOPS, names)
    assert plain(names["whole"])(1.0) == 30.0
    assert names["part"](1.0) == 3.0  # called from Python, a part is run by Python


def test_numba_is_not_imported_for_what_is_not_called():
    code = (
        "import sys; import splitopt.solvers.pipeline_partition.subset_dp; "
        "import splitopt.problems.cluster_and_spectrum.loops; "
        "sys.exit('numba' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == 0


def test_decorators_keep_names():
    def loop(x):
        """Return one more."""
        return x + 1

    assert compiled(loop).__name__ == helper(loop).__name__ == "loop"
    assert compiled(loop).__doc__ == "Return one more."
