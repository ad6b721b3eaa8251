"""Proved plans of `TimeToAccuracy`: products over convex hulls, in cells of thresholds."""

from splitopt.solvers.time_to_accuracy.exact.solver import Exact as Exact
