"""Kubernetes objects as the API server gives them, as far as the provider reads them."""

from __future__ import annotations

from typing import Any

from springtide.provider.kubernetes.manifests.keys import FUNCTION

CREATED = "2026-01-31T12:00:00Z"


def pod(
    name: str, *, function: str = "echo", ip: str = "10.1.0.1", ready: bool = True, **changes: Any
) -> dict[str, Any]:
    """``changes``: created, cost, deleting, phase, statuses, conditions."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "openfaas-fn",
        "uid": f"uid-{name}",
        "labels": {FUNCTION: function},
        "creationTimestamp": changes.get("created", CREATED),
    }
    if "cost" in changes:
        metadata["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": changes["cost"]}
    if changes.get("deleting"):
        metadata["deletionTimestamp"] = CREATED
    running = [{"name": function, "state": {"running": {"startedAt": CREATED}}}]
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}, *changes.get("conditions", ())]
    return {
        "metadata": metadata,
        "status": {
            "phase": changes.get("phase", "Running"),
            "podIP": ip,
            "conditions": conditions,
            "containerStatuses": changes.get("statuses", running),
        },
    }


def endpoint(pod_name: str, ip: str, **conditions: bool | None) -> dict[str, Any]:
    return {"addresses": [ip], "conditions": conditions, "targetRef": {"kind": "Pod", "name": pod_name}}


def endpoint_slice(*endpoints: dict[str, Any], service: str = "echo", **changes: Any) -> dict[str, Any]:
    """``changes``: addressType, ports."""
    return {
        "metadata": {"name": f"{service}-1", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": list(endpoints),
        **changes,
    }
