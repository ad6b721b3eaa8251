"""Scenarios of accelerators that share a model with branches."""

from __future__ import annotations


def scenario(file, **accelerators):
    """Return a scenario of accelerators for a profile in a file."""
    return {
        "format": "splitopt-scenario",
        "version": 1,
        "name": "branches",
        "model": {"file": str(file)},
        "accelerators": {
            "count": 3,
            "compute": "10 MFLOPS",
            "rate": "100 Mbps",
            "batch_size": 2,
            "micro_batches": 3,
            **accelerators,
        },
    }
