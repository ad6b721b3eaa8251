"""What ends a run over a pipeline."""

from __future__ import annotations

from splitopt.training.schemes.base import TrainingError


class NodeGoneError(TrainingError):
    """A compute node has died: no owner's batch can pass the chain any more."""

    @classmethod
    def at(cls, node: str, phase: str, reason: str) -> NodeGoneError:
        """Return the error of a node by its name, with what it was doing and why it is gone."""
        return cls(
            f"the compute node {node} failed ({phase}: {reason}); start the run again with "
            "--resume to go on from the last checkpoint"
        )
