"""Solvers of `PipelinePartition`: one algorithm per file."""
