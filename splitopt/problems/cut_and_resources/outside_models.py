"""`CutAndResources` as a model of a modelling language or of a solver of other people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from splitopt.problems.cut_and_resources.data import CutAndResourcesData

if TYPE_CHECKING:
    from splitopt.problems.cut_and_resources.cvxpy_model import CvxpyModel
    from splitopt.problems.cut_and_resources.gurobi_model import GurobiModel
    from splitopt.problems.cut_and_resources.pyomo_model import PyomoModel
    from splitopt.problems.cut_and_resources.scip_model import ScipModel


class OutsideModels(CutAndResourcesData):
    """Data of `CutAndResources` that can be written as models; see the module `formulation`."""

    def to_cvxpy(
        self, relaxed: bool = False, formulation: str | None = "misocp", unit_s: float = 1.0
    ) -> CvxpyModel:
        """Return a CVXPY model, by default the one with shares.

        Parameters
        ----------
        relaxed
            Let a device mix its cuts: the optimum is then a lower bound.
        formulation
            ``"miqp"`` (sum only, without shares) or ``"misocp"`` (with shares), see the module
            `formulation`; None takes the first where the objective is the sum.
        unit_s
            Length in s of the model's unit of time; near a typical latency is best for solvers.

        Raises
        ------
        InputError
            The formulation is unknown or does not take the objective.
        InfeasibleError
            A device has no allowed cut.
        """
        from splitopt.problems.cut_and_resources.cvxpy_model import build_cvxpy

        return build_cvxpy(self, relaxed, formulation, unit_s)

    def to_pyomo(self, formulation: str | None = None, unit_s: float = 1.0) -> PyomoModel:
        """Return a Pyomo model, by default the smallest that takes the objective.

        Parameters and errors are those of `to_cvxpy`; there is one more formulation, ``"minlp"``:
        DP-MORA Eq. 19 with the problem's curves, see the module `pyomo_model`.
        """
        from splitopt.problems.cut_and_resources.pyomo_model import build_pyomo

        return build_pyomo(self, formulation, unit_s)

    def to_gurobi(
        self, env: Any = None, formulation: str | None = None, unit_s: float = 1.0
    ) -> GurobiModel:
        """Return a gurobipy model in the environment `env`, by default a silent one.

        The other parameters and the errors are those of `to_cvxpy`; by default the model is the
        smallest that takes the objective.
        """
        from splitopt.problems.cut_and_resources.gurobi_model import build_gurobi

        return build_gurobi(self, env, formulation, unit_s)

    def to_scip(self, formulation: str | None = None, unit_s: float = 1.0) -> ScipModel:
        """Return a PySCIPOpt model, by default the smallest that takes the objective.

        Parameters and errors are those of `to_cvxpy`.
        """
        from splitopt.problems.cut_and_resources.scip_model import build_scip

        return build_scip(self, formulation, unit_s)
