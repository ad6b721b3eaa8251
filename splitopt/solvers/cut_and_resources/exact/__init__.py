"""Certified optimum of `CutAndResources` for both objectives."""

from splitopt.solvers.cut_and_resources.exact.solver import Exact as Exact
