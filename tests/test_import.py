"""Importing splitopt is fast: heavy packages load where they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = [
    "jax",
    "cvxpy",
    "pyomo",
    "gurobipy",
    "highspy",
    "pyscipopt",
    "sklearn",
    "scipy",
    "numba",
    "torch",
    "matplotlib",
    "pint",
    "pymoo",
]


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_plain_import_loads_nothing_heavy():
    """`import splitopt` loads neither the heavy packages nor numpy, pydantic, rich or typer."""
    found = loaded_after("import splitopt")
    assert not found & {*HEAVY, "numpy", "pydantic", "rich", "typer", "yaml"}


@pytest.mark.one_quick
@pytest.mark.parametrize("name", ["solve", "plan", "Scenario", "load_problem", "Result"])
def test_public_names_load_no_solver_package(name):
    """Using a public name loads no modelling layer, solver, learning or plotting package."""
    assert not loaded_after(f"from splitopt import {name}") & set(HEAVY)


def test_solving_loads_no_back_end_that_is_not_used():
    """The own solvers run without any solver package, JAX or torch in the process."""
    found = loaded_after(
        "import numpy as np, splitopt; a = np.ones((2, 2)); "
        "p = splitopt.CutAndResources(a, a, a, a, a > 0); splitopt.solve(p, 'equal_share')"
    )
    assert not found & {"jax", "cvxpy", "pyomo", "gurobipy", "highspy", "pyscipopt", "torch"}


def test_every_public_name_resolves():
    """All names that the package lists exist and are documented."""
    import splitopt

    assert splitopt.__version__
    for name in splitopt.__all__:
        assert getattr(splitopt, name).__doc__
    with pytest.raises(AttributeError, match="no_such_name"):
        splitopt.no_such_name  # noqa: B018


def test_runs_over_connections_say_which_extra_they_need():
    """Without PyTorch the import is refused in a sentence, not by the name of a module."""
    code = "import sys; sys.modules['torch'] = None; import splitopt.training.wire.launch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "running over connections needs PyTorch, which is not installed; install it with: "
        "pip install 'splitopt[train]'"
    )
