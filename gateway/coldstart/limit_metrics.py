"""How many calls may wait, as metrics, so that an alert can tell how much room is left."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from springtide.gateway.settings import GatewaySettings
from springtide.scaler.core import catalogue
from springtide.wire import instruments


def show_held_limits(settings: GatewaySettings, registry: CollectorRegistry) -> None:
    """``settings`` are the whole gateway's, not one worker's share of them."""
    limits = instruments.gauge(catalogue.HELD_LIMIT, registry)
    limits.labels("function").set(settings.max_held_per_function)
    limits.labels("all").set(settings.max_held)
