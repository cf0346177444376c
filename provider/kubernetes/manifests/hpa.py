"""The HorizontalPodAutoscaler of a function that scales by processor time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from springtide.provider.kubernetes.manifests import keys
from springtide.provider.spec import FunctionSpec
from springtide.runtime.kubernetes.api import Json
from springtide.scaler.core.policy import ScalePolicy, wake_replicas
from springtide.scaler.core.targets import Unit

DEFAULT_DOWN_WINDOW_S = 300
"""Kubernetes' own default, said aloud."""


def hpa_of(spec: FunctionSpec, owner: Json | None = None, *, by_hand: bool = False) -> Json | None:
    """None when the function's labels do not ask for one. ``owner``: a reference to its Deployment.

    ``by_hand``: for somebody who manages it alone; it lacks the mark by which we know ours.

    It pauses while the Deployment has 0 replicas, so the idler may take them away and a call bring one back.
    """
    policy, _ = ScalePolicy.from_labels(spec.labels)
    if not policy.on_hpa:
        return None
    metadata: Json = {
        "name": spec.ref.name,
        "namespace": spec.ref.namespace,
        "labels": {keys.FUNCTION: spec.ref.name} | ({} if by_hand else {keys.MANAGED_BY: keys.SPRINGTIDE}),
    }
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    least = wake_replicas(policy)
    window_s = DEFAULT_DOWN_WINDOW_S if policy.down_window_s is None else math.ceil(policy.down_window_s)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": spec.ref.name},
            "minReplicas": least,
            "maxReplicas": max(least, policy.max),
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": _target(policy)}}],
            "behavior": {
                "scaleUp": {"stabilizationWindowSeconds": 0},
                "scaleDown": {"stabilizationWindowSeconds": window_s},
            },
        },
    }


def is_ours(autoscaler: Mapping[str, Any]) -> bool:
    """Made by us. One that a person made is left as it is, also where it is in ours' place."""
    labels = autoscaler["metadata"].get("labels") or {}
    return bool(labels.get(keys.MANAGED_BY) == keys.SPRINGTIDE)


def _target(policy: ScalePolicy) -> Json:
    if policy.unit is Unit.CPU_PERCENT:
        return {"type": "Utilization", "averageUtilization": round(policy.target)}
    return {"type": "AverageValue", "averageValue": f"{policy.target:.0f}m"}
