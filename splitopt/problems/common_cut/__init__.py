"""One cut for all devices under a scheme of one server: the problem and its decision."""

from splitopt.problems.common_cut.data import BY_BATCH as BY_BATCH
from splitopt.problems.common_cut.data import PHASES as PHASES
from splitopt.problems.common_cut.data import SCHEMES as SCHEMES
from splitopt.problems.common_cut.data import SERVER_ORDERS as SERVER_ORDERS
from splitopt.problems.common_cut.decision import CommonCutDecision as CommonCutDecision
from splitopt.problems.common_cut.problem import CommonCut as CommonCut
