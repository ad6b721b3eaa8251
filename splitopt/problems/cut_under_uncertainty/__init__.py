"""One cut for the whole training when speeds and channels vary (CPSL): problem and decision."""

from splitopt.problems.cut_under_uncertainty.decision import (
    CutUnderUncertaintyDecision as CutUnderUncertaintyDecision,
)
from splitopt.problems.cut_under_uncertainty.drawn import Generator as Generator
from splitopt.problems.cut_under_uncertainty.problem import (
    CutUnderUncertainty as CutUnderUncertainty,
)
