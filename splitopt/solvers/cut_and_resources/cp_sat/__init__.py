"""CP-SAT of OR-tools on integer tables, in a process of its own."""

from splitopt.solvers.cut_and_resources.cp_sat.solver import CpSat as CpSat
