"""From a scenario to a plan that explains itself."""

from splitopt.planning.planner import open_plan as open_plan
from splitopt.planning.planner import plan as plan
from splitopt.planning.replaying import simulate as simulate
