"""Solvers of `ReplicatedPipeline`, an algorithm per file."""
