"""A plan of replicated stages and a model that was cut again: who does which micro-batches."""

from __future__ import annotations

from splitopt.training.model_parts.copies import Split
from splitopt.training.problems.replicated_pipeline import shares_of
from splitopt.training.program import Program
from splitopt.training.schemes.replicated_stages import ReplicaSplit


def replica_split(program: Program, split: Split) -> ReplicaSplit:
    """Return how a scheme cuts a copy of a model into the stages of a plan."""
    shares = shares_of(program.opened)
    return ReplicaSplit(split.cut, split.written, split.packed, split.whole, shares=shares)
