"""Questions around pipelines that take many of them to answer."""

from splitopt.planning.pipelines.cuts import CutChoice as CutChoice
from splitopt.planning.pipelines.cuts import Pair as Pair
from splitopt.planning.pipelines.cuts import best_cuts as best_cuts
from splitopt.planning.pipelines.cuts import choose_cuts as choose_cuts
from splitopt.planning.pipelines.hybrid import Hybrid as Hybrid
from splitopt.planning.pipelines.hybrid import OwnerGroup as OwnerGroup
from splitopt.planning.pipelines.hybrid import hybrid as hybrid
