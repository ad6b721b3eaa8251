"""Solvers of other people behind the common contract: SCIP and Gurobi, directly or through a layer.

Nothing here knows any problem: a runner takes a model, the unit of its objective and a way to read
a decision from it, and reports to the `Search` as every solver does. `solvers` has the classes that
a problem's own back ends derive from.
"""
