"""Webhook payloads as Alertmanager 0.25 sends them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

STARTED = "2026-01-05T10:00:00.123Z"
NEVER = "0001-01-01T00:00:00Z"


def alert(
    function_name: str | None, status: str = "firing", *, name: str = "FunctionBusy", starts_at: str = STARTED
) -> dict[str, Any]:
    labels = {"alertname": name, "severity": "major", "service": "gateway"}
    if function_name is not None:
        labels["function_name"] = function_name
    return {
        "status": status,
        "labels": labels,
        "annotations": {"summary": f"High load on {function_name}"},
        "startsAt": starts_at,
        "endsAt": NEVER if status == "firing" else "2026-01-05T10:05:00.123Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=x&g0.tab=1",
        "fingerprint": hashlib.sha256(f"{name} {function_name}".encode()).hexdigest()[:16],
    }


def delivery(*alerts: dict[str, Any]) -> dict[str, Any]:
    firing = any(one["status"] == "firing" for one in alerts)
    return {
        "receiver": "springtide",
        "status": "firing" if firing else "resolved",
        "alerts": list(alerts),
        "groupLabels": {"function_name": "echo.openfaas-fn"},
        "commonLabels": {"alertname": "FunctionBusy", "function_name": "echo.openfaas-fn", "severity": "major"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": '{}:{function_name="echo.openfaas-fn"}',
        "truncatedAlerts": 0,
    }


def body(*alerts: dict[str, Any]) -> bytes:
    return json.dumps(delivery(*alerts)).encode()
