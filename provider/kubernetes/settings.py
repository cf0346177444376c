"""The Kubernetes provider's own settings; how functions are run is ``manifests.settings``."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.runtime.settings import boolean, duration, integer, setting
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE

POD, SERVICE = "pod", "service"


def pod_or_service(value: str) -> str:
    """``pod`` or ``service``. Raises ValueError."""
    if value not in (POD, SERVICE):
        raise ValueError(f"{value!r}: write {POD} or {SERVICE}")
    return value


@dataclass(frozen=True, kw_only=True)
class KubernetesProviderSettings:
    """Durations in seconds."""

    default_namespace: str = DEFAULT_NAMESPACE
    """It must be there. The API has the setting; whoever wires the parts passes it on."""
    cluster_role: bool = setting(
        default=False,
        env="cluster_role",
        kind=boolean,
        help="also use every other namespace with the annotation or label openfaas; needs a ClusterRole",
    )
    operator: bool = setting(
        default=False,
        env="operator",
        kind=boolean,
        help="deployments write Function objects, which the operator in this process turns into Deployments",
    )
    profiles_namespace: str = setting(
        "", env="profiles_namespace", help="namespace of Profiles; empty: the one of functions"
    )
    function_addresses: str = setting(
        POD,
        env="function_addresses",
        kind=pod_or_service,
        help="what calls are sent to: pod, or service where a mesh has to balance them",
    )
    ready_ask_interval_s: float = setting(
        0.003,
        env="ready_ask_interval",
        kind=duration,
        low=0.001,
        high=1,
        help="pause between targets to a starting pod whether it answers, while nobody else serves its function",
    )
    ready_ask_most_s: float = setting(
        60.0,
        env="ready_ask_most",
        kind=duration,
        low=0,
        help="how long a starting pod is asked directly; 0: never, Kubernetes' readiness alone counts",
    )
    ready_early_most_s: float = setting(
        30.0,
        env="ready_early_most",
        kind=duration,
        low=1,
        help="how long a pod that answered us may lack Kubernetes' own readiness before it is given up",
    )
    unschedulable_most_s: float = setting(
        10.0,
        env="unschedulable_most",
        kind=duration,
        low=0,
        help="how long a pod may wait for a node before callers are told why none takes it; more where nodes are added",
    )
    function_linger_s: float = setting(
        0.1,
        env="function_linger",
        kind=duration,
        low=0,
        high=10,
        help="time between telling gateways that pods will go and letting them go",
    )
    kube_sync_s: float = setting(
        60.0, env="kube_sync", kind=duration, low=1, help="longest wait for the first lists at the start"
    )
    scaling_events: bool = setting(
        default=True, env="scaling_events", kind=boolean, help="write a Kubernetes Event for every scaling decision"
    )
    log_pods: int = setting(
        50, env="log_pods", kind=integer, low=1, high=1000, help="most pods of a function whose logs are read at once"
    )
