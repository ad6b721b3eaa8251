"""`set_partition`: the cut, or every cluster's cut, together with the clusters, to a proof."""

from splitopt.solvers.cut_and_clusters.set_partition.certificate import (
    certified_bound as certified_bound,
)
from splitopt.solvers.cut_and_clusters.set_partition.solver import SetPartition as SetPartition
