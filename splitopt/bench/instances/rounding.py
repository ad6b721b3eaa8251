"""Numbers that are the same on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np


def rounded(values: Any) -> Any:
    """Round numbers to 24 binary digits, in float64.

    The last digits differ between the mathematical libraries of two machines, and must not make
    another instance.
    """
    return np.asarray(values, dtype=np.float32).astype(np.float64)
