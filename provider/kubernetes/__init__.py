"""Functions on a Kubernetes cluster: each a Deployment and a Service, read from list+watch caches.

    API server ── watches ──► inventory ──► endpoint publisher ──► endpoint feed ──► gateways
         ▲                    (views)         ▲
         │                                    └── readiness: starting pods are probed directly
         └── deployer, scaling, secrets, namespaces, events

``manifests`` says how a function looks as Kubernetes objects. Replica counts are never decided here, and a list or a
status never asks the API server anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.kubernetes.provider import KubernetesProvider
from springtide.provider.kubernetes.settings import KubernetesProviderSettings
from springtide.runtime.kubernetes.api import KubernetesApi
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import Clock, Recorder

__all__ = ["KubernetesDeps", "KubernetesProvider", "KubernetesProviderSettings", "ManifestSettings", "build"]


@dataclass(frozen=True, slots=True)
class KubernetesDeps:
    """``recorder`` hears of counts that a deployment sets; those written are recorded by whoever asks for them."""

    api: KubernetesApi
    clock: Clock
    manifests: ManifestSettings
    recorder: Recorder | None = None
    scalers: Scalers = field(default_factory=lambda: Scalers(hpa=True))


def build(settings: KubernetesProviderSettings, deps: KubernetesDeps) -> KubernetesProvider:
    return KubernetesProvider(
        settings, deps.manifests, api=deps.api, clock=deps.clock, recorder=deps.recorder, scalers=deps.scalers
    )
