"""Solvers for `CutUnderUncertainty`, one algorithm per file."""
