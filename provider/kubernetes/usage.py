"""What a function's pods use together, from the cluster's metrics server, where there is one."""

from __future__ import annotations

from springtide.provider.kubernetes.manifests import keys
from springtide.provider.quantities import parse
from springtide.provider.spec import Usage
from springtide.runtime.errors import SpringtideError
from springtide.runtime.kubernetes.api import KubernetesApi, Where
from springtide.runtime.kubernetes.resources import POD_METRICS
from springtide.scaler.core.vocabulary import FunctionRef


async def usage_of(api: KubernetesApi, ref: FunctionRef) -> Usage | None:
    """None where nobody measures it, or nothing is measured as yet."""
    try:
        listing = await api.list(POD_METRICS, Where(ref.namespace, labels=f"{keys.FUNCTION}={ref.name}"))
    except SpringtideError:
        return None
    used = [container.get("usage") or {} for pod in listing.items for container in pod.get("containers") or ()]
    if not used:
        return None
    try:
        cpu = sum(parse(item["cpu"]) for item in used) * 1000
        return Usage(float(cpu), float(sum(parse(item["memory"]) for item in used)))
    except (KeyError, ValueError):
        return None
