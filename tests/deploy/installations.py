"""Sets of values that people install with, and what is rendered from them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from deploy.rendering import MANIFESTS, Object, objects, render

INSTALLATIONS: Mapping[str, Mapping[str, Any]] = {
    "defaults": {},
    **{name.removesuffix(".yaml"): given for name, given in MANIFESTS.items()},
    "operator in all namespaces": {"operator": {"create": True}, "clusterRole": True},
    "service mesh": {"provider": {"functionAddresses": "service", "replicas": 2}},
    "one's own monitoring": {
        "prometheus": {"create": False, "url": "http://prometheus.monitoring:9090/base"},
        "alertmanager": {"create": False, "url": "http://alertmanager.monitoring:9093"},
        "networkPolicies": {"prometheusNamespace": "monitoring"},
    },
    "one's own Alertmanager": {"alertmanager": {"create": False, "url": "https://alerts.example:8443/prefix"}},
    "Prometheus operator": {
        "prometheus": {"create": False},
        "alertmanager": {"create": False},
        "podMonitor": {"create": True, "labels": {"release": "kps"}},
        "prometheusRule": {"create": True, "labels": {"release": "kps"}},
        "grafana": {"dashboards": {"create": True}},
        "scrapeAnnotations": {"create": False},
        "connectors": [{"name": "orders", "config": {"sources": [{"kind": "nats", "topics": "orders.>"}]}}],
    },
    "no authentication": {"basic_auth": False},
    "credentials of one's own": {"generateBasicAuth": False},
    "least": {
        "createFunctionNamespace": False,
        "exposeServices": False,
        "generateBasicAuth": False,
        "gateway": {"autoscaling": {"enabled": False}, "replicas": 1, "preStopSeconds": 0, "resources": {}},
        "scaler": {"enabled": False},
        "async": False,
        "cron": {"create": False},
        "idler": {"create": False},
        "console": {"create": False},
        "prometheus": {"create": False},
        "alertmanager": {"create": False},
        "podDisruptionBudgets": {"create": False},
        "networkPolicies": {"create": False},
        "scrapeAnnotations": {"create": False},
    },
    "most": {
        "commonLabels": {"team": "platform"},
        "podAnnotations": {"sidecar.istio.io/inject": "false"},
        "imagePullSecrets": [{"name": "registry"}],
        "image": {"repository": "registry.example/springtide", "digest": "sha256:" + "0" * 64, "pullPolicy": "Always"},
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/arch": "amd64"},
        "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
        "serviceType": "LoadBalancer",
        "externalServiceAnnotations": {"example.com/internal": "true"},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "tlsSecret": "gateway-tls",
            "annotations": {"a.example/b": "c"},
        },
        "gateway": {
            "workers": 2,
            "settings": {"hold_timeout": "90s", "max_held": 1000, "retry_posts": False, "max_async_body": 67108864},
        },
        "scaler": {"default": True, "replicas": 3, "settings": {"scaler_interval": "2s"}},
        "queueWorker": {"replicas": 5, "callbackSecret": "hooks", "settings": {"max_retry_attempts": 3}},
        "cron": {"replicas": 3, "settings": {"cron_takeover": "10m", "prewarm_default_lead": "5s"}},
        "connectors": [
            {"name": "orders", "config": {"sources": [{"kind": "nats", "stream": "ORDERS", "topics": ["orders.>"]}]}},
            {
                "name": "sensors",
                "config": {
                    "content_type": "application/json",
                    "max_inflight_bytes": 67108864,
                    "sources": [
                        {
                            "kind": "mqtt",
                            "url": "mqtts://mqtt.team:8883",
                            "topics": "sensors/#",
                            "qos": 1,
                            "user": "springtide",
                            "password_path": "/var/connector/password",
                        },
                        {"kind": "redis", "name": "cache", "topics": ["a", "b"]},
                        {"kind": "directory", "path": "/srv/incoming"},
                    ],
                },
                "secretName": "sensors-login",
                "env": [{"name": "TZ", "valueFrom": {"configMapKeyRef": {"name": "zone", "key": "tz"}}}],
                "volumes": [{"name": "incoming", "persistentVolumeClaim": {"claimName": "incoming"}}],
                "volumeMounts": [{"name": "incoming", "mountPath": "/srv/incoming"}],
                "gracePeriodSeconds": 60,
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
            },
        ],
        "callbacks": {"allow": ["*.example.org", "10.0.0.0/8:8443"], "deny": ["db.team"]},
        "nats": {
            "replicas": 3,
            "persistence": {"size": "1Ti", "storageClassName": "fast"},
            "credentialsSecret": "broker",
            "syncInterval": "2m",
        },
        "idler": {"dryRun": True, "inactivityDuration": "5m", "replicas": 3},
        "prometheus": {"persistence": {"enabled": True, "storageClassName": "fast"}},
        "alertmanager": {"operatorsReceiver": {"webhook_configs": [{"url": "https://pager.example/hook"}]}},
        "networkPolicies": {
            "functions": True,
            "callbacksTo": [{"ipBlock": {"cidr": "198.51.100.0/24"}}],
            "connectorsTo": [{"ipBlock": {"cidr": "203.0.113.0/24"}}],
            "gatewayTo": [{"ipBlock": {"cidr": "192.0.2.7/32"}}],
            "gatewayFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
        },
        "grafana": {"dashboards": {"create": True}},
    },
    "one's own NATS": {
        "nats": {
            "create": False,
            "url": "tls://nats-0.example.org:4222,tls://nats-1.example.org:4222",
            "replicas": 3,
            "credentialsSecret": "broker",
            "credentialsKey": "app.creds",
            "caSecret": "broker-ca",
        }
    },
    "a NATS for trying out": {"nats": {"persistence": {"enabled": False, "size": "500Mi"}}},
    "no NATS": {"nats": {"create": False}},
    "functions beside the suite": {"functionNamespace": "openfaas", "clusterRole": False},
    "IPv6": {"listenAddress": "::", "networkPolicies": {"apiServerCidrs": ["fd00::/8"]}},
    "affinity": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}},
}
"""Name → values."""


WORKLOADS = ("Deployment", "StatefulSet", "Job")


@functools.cache
def rendered(installation: str) -> tuple[Object, ...]:
    return tuple(objects(render(INSTALLATIONS[installation])))


def of_kind(installation: str, kind: str) -> Iterator[Object]:
    return (one for one in rendered(installation) if one["kind"] == kind)


def named(installation: str, kind: str, name: str) -> Object:
    return next(one for one in of_kind(installation, kind) if one["metadata"]["name"] == name)


def workloads(installation: str) -> Iterator[Object]:
    return (one for one in rendered(installation) if one["kind"] in WORKLOADS)


def containers(workload: Object) -> list[Object]:
    found: list[Object] = workload["spec"]["template"]["spec"]["containers"]
    return found


def environment(container: Object) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container.get("env", ()) if "value" in one}
