"""`set_partition`: column generation with a certified bound, and a proof where it can be had."""

from splitopt.solvers.cluster_and_spectrum.set_partition.certificate import (
    certified_bound as certified_bound,
)
from splitopt.solvers.cluster_and_spectrum.set_partition.solver import (
    SetPartition as SetPartition,
)
from splitopt.solvers.cluster_and_spectrum.set_partition.solver import annealing as annealing
