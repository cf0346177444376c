"""How Kubernetes asks a function whether it is ready and whether it is alive.

Annotations ``com.openfaas.ready.http.*`` and ``com.openfaas.health.http.*`` say path, initialDelay, period, timeout
and thresholds; the times as ``initialDelaySeconds: "5"`` or as a Go duration, ``initialDelay: 5s``. Path and delay of
readiness fall back to those of health, which had them for both when there was nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

from springtide.provider import annotation_table
from springtide.provider.kubernetes.manifests import keys
from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.probe_annotations import ProbeReader
from springtide.runtime.kubernetes.api import Json

DEFAULT_PATH = "/_/health"
LOCK_FILE = "/tmp/.lock"  # noqa: S108 - inside the function's container, where the watchdog makes it
FAILURES = 3


def probes_of(annotations: Mapping[str, str], settings: ManifestSettings) -> tuple[Json, Json]:
    """Readiness and liveness. What cannot be read counts as unset: ``problems_of`` says so before."""
    ready, health = ProbeReader(annotations, keys.READY), ProbeReader(annotations, keys.HEALTH)
    health_path = health.get("path", annotation_table.path, DEFAULT_PATH)
    readiness = {
        **_handler(ready.get("path", annotation_table.path, health_path), settings),
        "initialDelaySeconds": ready.time("initialDelay", health.time("initialDelay", int(settings.readiness_delay_s))),
        "periodSeconds": ready.time("period", int(settings.readiness_period_s), least=1),
        "timeoutSeconds": ready.time("timeout", int(settings.readiness_timeout_s), least=1),
        "successThreshold": ready.get("successThreshold", annotation_table.threshold, 1),
        "failureThreshold": ready.get("failureThreshold", annotation_table.threshold, FAILURES),
    }
    liveness = {
        **_handler(health_path, settings),
        "initialDelaySeconds": health.time("initialDelay", int(settings.liveness_delay_s)),
        "periodSeconds": health.time("period", int(settings.liveness_period_s), least=1),
        "timeoutSeconds": health.time("timeout", int(settings.liveness_timeout_s), least=1),
        "successThreshold": 1,
        "failureThreshold": health.get("failureThreshold", annotation_table.threshold, FAILURES),
    }
    return readiness, liveness


def problems_of(annotations: Mapping[str, str]) -> list[str]:
    problems: list[str] = []
    for prefix in (keys.READY, keys.HEALTH):
        reader = ProbeReader(annotations, prefix, problems)
        reader.get("path", annotation_table.path, "")
        for name, least in (("initialDelay", 0), ("period", 1), ("timeout", 1)):
            reader.time(name, 0, least=least)
        for name in ("successThreshold", "failureThreshold"):
            reader.get(name, annotation_table.threshold, 1)
    if ProbeReader(annotations, keys.HEALTH).get("successThreshold", annotation_table.threshold, 1) != 1:
        problems.append(f"{keys.HEALTH}successThreshold: Kubernetes takes only 1 for liveness; remove it")
    return problems


def _handler(path: str, settings: ManifestSettings) -> Json:
    if settings.http_probe or path != DEFAULT_PATH:
        return {"httpGet": {"path": path, "port": keys.PORT, "scheme": "HTTP"}}
    return {"exec": {"command": ["cat", LOCK_FILE]}}
