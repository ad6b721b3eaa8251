"""What a scheme knows of a noise layer in the parts of its model."""

from __future__ import annotations

from splitopt.training.model_parts.copies import Copy, Cut, Split


class NoiseLayer:
    """What puts noise into the parts of a model; the scheme that has one passes it on."""

    def set_apart(self, own: Copy, n: int) -> None:
        """Make the copy of client n draw what it draws in a process of its own."""

    def without(self, split: Split | Cut) -> Split | Cut:
        """Return how the model is cut into parts without noise, from how it is cut with it."""
        return split
