"""Federated learning (FedAvg) and centralized training: nothing is cut."""

from __future__ import annotations

from typing import ClassVar

from splitopt.training.options import Role
from splitopt.training.program import Takes
from splitopt.training.schemes.parallel_copies import ParallelCopies


class Federated(ParallelCopies):
    """FedAvg (McMahan et al. 2017): whole models travel, data stays."""

    name: ClassVar[str] = "federated"
    roles: ClassVar[tuple[Role, ...]] = ("device",)
    takes: ClassVar[Takes] = "nothing"
    draws_clients: ClassVar[bool] = True
    averages_devices: ClassVar[bool] = True


class Centralized(ParallelCopies):
    """All data in one place: the one client is the union of all, and nothing travels."""

    name: ClassVar[str] = "centralized"
    roles: ClassVar[tuple[Role, ...]] = ("server",)
    takes: ClassVar[Takes] = "nothing"
