"""Solvers for `ClusterAndSpectrum`, one algorithm per file."""
