"""All dashboards, and the files they become."""

from __future__ import annotations

from collections.abc import Mapping

from springtide.dashboards.autoscaling import AUTOSCALING
from springtide.dashboards.cold_starts import COLD_STARTS
from springtide.dashboards.function import FUNCTION
from springtide.dashboards.health import HEALTH
from springtide.dashboards.overview import OVERVIEW
from springtide.dashboards.queues import QUEUES
from springtide.dashboards.triggers import TRIGGERS

DASHBOARDS = (OVERVIEW, FUNCTION, AUTOSCALING, COLD_STARTS, QUEUES, TRIGGERS, HEALTH)


def written() -> Mapping[str, str]:
    """File name → content."""
    return {f"{board.uid}.json": board.as_json() for board in DASHBOARDS}
