"""Schema of what a run of IoTSL keeps between its steps.

Importing this module imports pydantic: do so in the functions that need it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from splitopt.documents.schemas import Count, Document, Name, Plain
from splitopt.training.documents import Digest

Number = Annotated[float, Field(ge=0)]


class SentDocument(Document):
    """A message, see `splitopt.iotsl.messages.Sent`."""

    kind: Name
    sender: Name
    receiver: Name
    bytes: Count
    planned_bytes: Count
    planned_s: Number


class RunDocument(Document):
    """The file of a run: what names it, and what its steps have come to."""

    format: Literal["splitopt-iotsl-run"]
    version: Literal[1]
    identity: Plain
    steps: dict[Name, Plain]
    digest: Digest
