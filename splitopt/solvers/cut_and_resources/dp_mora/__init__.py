"""DP-MORA's own algorithm: block coordinate descent with a decentralised consensus on shares."""

from splitopt.solvers.cut_and_resources.dp_mora.solver import DpMora as DpMora
