"""Solvers of `CutAndClusters`."""
