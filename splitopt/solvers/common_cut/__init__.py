"""Solvers of `CommonCut`."""
