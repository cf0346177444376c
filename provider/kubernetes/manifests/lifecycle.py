"""How a pod ends: how long it still takes calls, and how long those in flight have."""

from __future__ import annotations

import math
from collections.abc import Mapping

from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.runtime.durations import parse_duration_s
from springtide.runtime.kubernetes.api import Json

TIMEOUTS = ("read_timeout", "write_timeout", "exec_timeout")
"""The watchdogs' variables. On SIGTERM a watchdog takes calls on for ``write_timeout`` and then lets them end."""
DEFAULT_GRACE_S = 30
SLACK_S = 2


def grace_s(env: Mapping[str, str], settings: ManifestSettings) -> int:
    """From deletion to SIGKILL: ``preStop``, then the function's longest time-out, then a little."""
    given = [parse_duration_s(env[name]) for name in TIMEOUTS if env.get(name)]
    return settings.prestop_s + (math.ceil(max(given)) + SLACK_S if given else DEFAULT_GRACE_S)


def lifecycle_of(settings: ManifestSettings) -> Json:
    """A sleep of Kubernetes' own: a function's image may have no ``sleep`` in it."""
    return {"preStop": {"sleep": {"seconds": settings.prestop_s}}} if settings.prestop_s else {}


def problems_of(env: Mapping[str, str]) -> list[str]:
    problems = []
    for name in TIMEOUTS:
        try:
            parse_duration_s(env.get(name) or "0")
        except ValueError as error:
            problems.append(f"envVars.{name}: {error}")
    return problems
