"""Schema of what a run of IoTSL keeps between its steps.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from typing import Literal

from splitopt.documents.schemas import Document, Name, Plain
from splitopt.training.documents import Digest


class RunDocument(Document):
    """The file of a run: what names it, and what its steps have come to."""

    format: Literal["splitopt-iotsl-run"]
    version: Literal[1]
    identity: Plain
    steps: dict[Name, Plain]
    digest: Digest
