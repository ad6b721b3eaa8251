"""Gurobi started without its banner."""

from __future__ import annotations

from typing import Any


def silent_environment() -> Any:
    """Start a Gurobi environment that prints neither its banner nor its log."""
    import gurobipy

    env = gurobipy.Env(empty=True)
    env.setParam("OutputFlag", 0)
    env.start()
    return env
