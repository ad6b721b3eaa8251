"""`saa`: choosing a cut for uncertain rounds (CPSL Alg. 2), with statements that hold.

* `finite`, `mean`, `tail`: the choice over given rounds, of the least mean, and of the least CVaR.
* `verdict`, `values`: what is known about the chosen cut, and what modelling uncertainty is worth.
"""

from splitopt.solvers.cut_under_uncertainty.saa.solver import Saa as Saa
