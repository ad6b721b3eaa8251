"""How the parties of a plan are started as services: image, options of training, fed server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict


class DeploymentFields(TypedDict, total=False):
    """The fields of a `Deployment`, as keywords."""

    image: str
    train: str
    fed_server: bool


@dataclass(frozen=True)
class Deployment:
    """What services of a plan's parties are made with.

    Parameters
    ----------
    image
        Name of the container image that all of them run.
    train
        Options of ``splitopt train`` that all parties share, as on a command line, such as
        ``"--lr 0.1 --rounds 5"``.
    fed_server
        Whether a fed server of its own averages the device parts.
    """

    image: str = "splitopt-run:latest"
    train: str = ""
    fed_server: bool = False
