"""The relaxed problem, in which devices may mix their cuts: lower bounds from dual prices."""

from splitopt.solvers.cut_and_resources.relaxation.loading import (
    LoadsRelaxation as LoadsRelaxation,
)
from splitopt.solvers.cut_and_resources.relaxation.loading import load_loops as load_loops
from splitopt.solvers.cut_and_resources.relaxation.root import root_bound as root_bound
