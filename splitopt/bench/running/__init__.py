"""Runs of solvers: planned, started in processes of their own, watched and recorded."""
