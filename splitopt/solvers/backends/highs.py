"""HiGHS called directly, without its banner."""

from __future__ import annotations

from typing import Any


def silent_highs() -> Any:
    """Start HiGHS without its banner, which it prints as soon as its callbacks are set."""
    import highspy

    class Silent(highspy.Highs):
        def enableCallbacks(self) -> None:  # noqa: N802 - HiGHS' name
            self.setOptionValue("output_flag", False)
            super().enableCallbacks()  # type: ignore[no-untyped-call]

    return Silent()  # type: ignore[no-untyped-call]
