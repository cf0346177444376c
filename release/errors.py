"""What ends a release."""

from __future__ import annotations

from collections.abc import Sequence


class Refused(Exception):
    """The version may not be released as things are; each line is a reason with its remedy."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = tuple(reasons)


class Failed(Exception):
    """A file could not be made, or does not do what it should."""
