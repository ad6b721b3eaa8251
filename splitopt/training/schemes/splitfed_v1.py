"""SplitFedV1 (Thapa et al. 2022, Algorithm 1): the server has a copy of its part per client."""

from __future__ import annotations

from typing import ClassVar

from splitopt.training.schemes.parallel_copies import ParallelCopies


class SplitFedV1(ParallelCopies):
    """Clients and their copies of the server's part train side by side; both sides are averaged.

    With a cut of its own for every client this is the training of DP-MORA (section 3), whose plan
    changes cuts and shares but not what is learned. Every client and its copy of the server's part
    are a model by themselves, so that it is well-defined that both hold a copy of a tied weight.
    """

    name: ClassVar[str] = "splitfed_v1"
    aggregates_apart: ClassVar[bool] = True
    exchanges_tied: ClassVar[bool] = True
    draws_clients: ClassVar[bool] = True
    averages_devices: ClassVar[bool] = True
    has_fed_server: ClassVar[bool] = True
    has_script: ClassVar[bool] = True
