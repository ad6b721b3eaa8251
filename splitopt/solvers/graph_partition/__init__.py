"""Solvers of `GraphPartition`: one algorithm per file."""
