"""Questions around pipelines that take many of them to answer."""

from splitopt.planning.pipelines.hybrid import Hybrid as Hybrid
from splitopt.planning.pipelines.hybrid import OwnerGroup as OwnerGroup
from splitopt.planning.pipelines.hybrid import hybrid as hybrid
