"""From which value on a number is shown in which colour, where several dashboards agree on it."""

from __future__ import annotations

from springtide.dashboards.panels import Step

FAILED: tuple[Step, ...] = ((None, "green"), (0.01, "orange"), (0.05, "red"))
"""A share of calls."""

WORTH_A_LOOK: tuple[Step, ...] = ((None, "green"), (1, "orange"))
BAD: tuple[Step, ...] = ((None, "green"), (1, "red"))
