"""Rows of what is decided: of a device, a node, or all, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]
Rows = dict[str, Row]

ALL = ""
"""The name under which stands what is decided for all."""
_SHARES = ("download_share", "upload_share", "server_share")


def cut_of(row: Mapping[str, Any]) -> str:
    """Return a cut by its number and its layer."""
    return f"{row['cut']} ({row['cut_layer']})"


def shares_of(row: Mapping[str, Any]) -> Row:
    """Return the shares of the resources."""
    return {name: float(row[name]) for name in _SHARES}
