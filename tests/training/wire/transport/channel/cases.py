"""A token, and connections of one process with itself."""

from __future__ import annotations

import pytest

from splitopt.training.wire.transport.seals import Keys
from splitopt.training.wire.transport.tokens import Token

torch = pytest.importorskip("torch", reason="needs the extra 'train'")


TOKEN = Token("a token for tests only")


KEYS = Keys(b"s" * 32, b"r" * 32)


SOON = 120.0  # s; a bound against hanging, nothing is measured
