"""Questions around pipelines that take many of them to answer."""

from splitopt.planning.pipelines.cuts import CutChoice as CutChoice
from splitopt.planning.pipelines.cuts import Pair as Pair
from splitopt.planning.pipelines.cuts import best_cuts as best_cuts
from splitopt.planning.pipelines.cuts import choose_cuts as choose_cuts
from splitopt.planning.pipelines.hybrid import Hybrid as Hybrid
from splitopt.planning.pipelines.hybrid import OwnerGroup as OwnerGroup
from splitopt.planning.pipelines.hybrid import hybrid as hybrid
from splitopt.planning.pipelines.pareto import ParetoPoint as ParetoPoint
from splitopt.planning.pipelines.pareto import ParetoSet as ParetoSet
from splitopt.planning.pipelines.pareto import delay_cost_pareto as delay_cost_pareto
from splitopt.planning.pipelines.pareto import scenario_pareto as scenario_pareto
