"""The watchdog is tested where it runs: in replicas of a real process provider."""

from __future__ import annotations

from tests.provider.process.conftest import free_port, shared, world

__all__ = ["free_port", "shared", "world"]
