"""How a problem is answered: a folder per problem with one algorithm per file."""

from splitopt.solvers.base import Progress as Progress
from splitopt.solvers.base import Search as Search
from splitopt.solvers.base import Solver as Solver
from splitopt.solvers.registry import SOLVERS as SOLVERS
from splitopt.solvers.registry import capable as capable
from splitopt.solvers.registry import make_solver as make_solver
from splitopt.solvers.registry import solver_class as solver_class
from splitopt.solvers.registry import why_not as why_not
