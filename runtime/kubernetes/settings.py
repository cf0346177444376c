"""How an API server is found, and how hard it may be worked."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.runtime.errors import BadInput
from springtide.runtime.settings import boolean, duration, integer, number, setting


@dataclass(frozen=True, kw_only=True)
class KubernetesSettings:
    """A kubeconfig wins, then the service account of the pod we run in, then ``~/.kube/config``."""

    kubeconfig: str = setting("", env="KUBECONFIG", help="kubeconfig file, or several as kubectl takes them")
    kube_context: str = setting("", env="kube_context", help="context of the kubeconfig; empty: its current one")
    service_host: str = setting(
        "", env="KUBERNETES_SERVICE_HOST", help="address of the API server as a pod is told; its token is used then"
    )
    service_port: int = setting(
        443, env="KUBERNETES_SERVICE_PORT", kind=integer, low=1, high=65535, help="port that belongs to it"
    )
    kube_deadline_s: float = setting(
        15.0,
        env="kube_deadline",
        kind=duration,
        low=0.1,
        help="longest wait for one answer of the API server, repetitions included",
    )
    kube_requests_per_s: float = setting(
        200.0,
        env="kube_requests_per_second",
        kind=number,
        low=1,
        help="average of requests to the API server a second",
    )
    kube_burst: int = setting(
        400, env="kube_burst", kind=integer, low=1, help="requests to the API server that may come at once"
    )


@dataclass(frozen=True, kw_only=True)
class LeaseSettings:
    """Leadership among copies. Raises BadInput when the times do not fit together."""

    leader_election: bool = setting(
        default=False, env="leader_election", kind=boolean, help="work only while holding a Kubernetes Lease"
    )
    lease_name: str = setting("", env="lease_name", help="name of the Lease; empty: springtide- and the part's name")
    lease_namespace: str = setting("", env="lease_namespace", help="namespace of the Lease; empty: that of our pod")
    lease_duration_s: float = setting(
        13.0,
        env="lease_duration",
        kind=duration,
        low=1,
        high=3600,
        help="time after which a leader that was not heard of is replaced, in whole seconds",
    )
    lease_renew_deadline_s: float = setting(
        10.0,
        env="lease_renew_deadline",
        kind=duration,
        low=0.2,
        help="time after its last renewal for which a leader goes on; shorter than the lease duration",
    )
    lease_retry_s: float = setting(
        5.0,
        env="lease_retry",
        kind=duration,
        low=0.05,
        help="time between two renewals; a failed one is repeated sooner",
    )

    def __post_init__(self) -> None:
        if not self.lease_retry_s < self.lease_renew_deadline_s < self.lease_duration_s:
            raise BadInput(
                f"lease: retry {self.lease_retry_s:g} s must be shorter than the renew deadline "
                f"{self.lease_renew_deadline_s:g} s, and that shorter than the duration {self.lease_duration_s:g} s"
            )
        if self.lease_duration_s != round(self.lease_duration_s):
            raise BadInput(f"--lease-duration: {self.lease_duration_s:g} s; a Lease counts whole seconds")
