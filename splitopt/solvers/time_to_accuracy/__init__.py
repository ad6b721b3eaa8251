"""Solvers of `TimeToAccuracy`."""
