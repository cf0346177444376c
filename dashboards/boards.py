"""All dashboards, and the files they become."""

from __future__ import annotations

from collections.abc import Mapping

from dashboards.autoscaling import AUTOSCALING
from dashboards.cold_starts import COLD_STARTS
from dashboards.function import FUNCTION
from dashboards.health import HEALTH
from dashboards.overview import OVERVIEW

BOARDS = (OVERVIEW, FUNCTION, AUTOSCALING, COLD_STARTS, HEALTH)


def written() -> Mapping[str, str]:
    """File name → content."""
    return {f"{board.uid}.json": board.as_json() for board in BOARDS}
