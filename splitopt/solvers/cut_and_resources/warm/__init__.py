"""Plans that follow changed numbers: from an old plan and old prices to a new one with its gap."""

from splitopt.solvers.cut_and_resources.warm.following import Followed as Followed
from splitopt.solvers.cut_and_resources.warm.following import follow as follow
from splitopt.solvers.cut_and_resources.warm.tables import WarmTables as WarmTables
