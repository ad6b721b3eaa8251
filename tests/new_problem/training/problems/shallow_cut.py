"""How plans of the new problem are trained: its devices in turn, all at the same cut."""

from __future__ import annotations

from splitopt.training.program import client_plans, cut_name, make_program


def program(opened, plan_digest, source):
    """Return what a plan asks of whoever trains it."""
    cut = cut_name(opened.profile, opened.decision.cut + 1)
    clients = client_plans(opened.scenario, [cut] * len(opened.scenario.fleet()))
    turns = tuple((n,) for n in range(len(clients)))
    return make_program(opened, "clustered", plan_digest, clients=clients, groups=(turns,))
