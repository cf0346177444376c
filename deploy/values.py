"""``values.yaml``, read with its comments: the schema that Helm checks values by, and what people are told of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from deploy.connector_values import CONNECTORS, connectors
from springtide.cli.parts import (
    alert_receiver,
    console,
    cron,
    gateway,
    idler,
    kubernetes_provider,
    queue_worker,
    scaler,
)
from springtide.cli.parts.settings_flags import Section
from springtide.runtime.settings import Declared, declared
from springtide.scaler.core.policy import ZeroPolicy
from springtide.wire.jobs.settings import REPLICAS

VALUES = Path(__file__).parent / "chart" / "values.yaml"

PARTS: Mapping[str, ModuleType] = {
    "gateway": gateway,
    "provider": kubernetes_provider,
    "alertReceiver": alert_receiver,
    "scaler": scaler,
    "queueWorker": queue_worker,
    "cron": cron,
    "idler": idler,
    "console": console,
}
"""The part whose settings ``PART.settings`` takes."""

OURS = re.compile(
    r"(.*_)?(host|port)|basic_auth|secret_mount_path|KUBE.*|kube_context|lease_name|lease_namespace|scaler(_default)?"
    r"|nats_(url|credentials_path|ca_path)|queue_replicas|callback_(allow|deny|local|gateway|secret_path)"
    r"|cron_state_dir|connector_grace"
)
"""Settings that the chart's Services, volumes, roles and other parts go by, which therefore are not for changing."""

CHOICES: Mapping[str, list[str] | list[int]] = {
    "generateBasicAuthBy": ["helm", "job"],
    "image.pullPolicy": ["Always", "IfNotPresent", "Never"],
    "functions.imagePullPolicy": ["Always", "IfNotPresent", "Never"],
    "serviceType": ["NodePort", "LoadBalancer", "ClusterIP"],
    "provider.functionAddresses": ["pod", "service"],
    "cron.zeroPolicy": [policy.value for policy in ZeroPolicy],
    "nats.replicas": list(REPLICAS),
}
LEAST: Mapping[str, int] = {
    "gateway.workers": 0,
    "gateway.autoscaling.minReplicas": 1,
    "gateway.autoscaling.maxReplicas": 1,
    "gateway.autoscaling.targetCPUUtilizationPercentage": 1,
    "functions.readinessProbe.timeoutSeconds": 1,
    "functions.readinessProbe.periodSeconds": 1,
    "functions.livenessProbe.timeoutSeconds": 1,
    "functions.livenessProbe.periodSeconds": 1,
}
"""Of whole numbers; others are at least 0."""
MOST: Mapping[str, int] = {
    "nodePort": 65535,
    # Each reads a stream of every gateway, which has eight, and a rollout has more copies than that for a while.
    "scaler.replicas": 5,
    "queueWorker.replicas": 100,
    "cron.replicas": 5,
    "queueWorker.gracePeriodSeconds": 3600,
    "functions.readinessProbe.initialDelaySeconds": 3600,
}
_DURATION = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$|^[0-9]+$"
_URL = r"^(https?://[^/]+(/.*[^/])?)?$"
PATTERNS: Mapping[str, str] = {
    "gateway.readTimeout": _DURATION,
    "gateway.writeTimeout": _DURATION,
    "gateway.upstreamTimeout": _DURATION,
    "idler.inactivityDuration": _DURATION,
    "idler.reconcileInterval": _DURATION,
    "cron.coldWorth": _DURATION,
    "prometheus.url": _URL,
    "alertmanager.url": _URL,
    "nats.url": r"^(((nats|tls)://)?[^/@,\s]+(,((nats|tls)://)?[^/@,\s]+)*)?$",
    "nats.syncInterval": r"^(always|([0-9]+(ms|s|m|h))+)$",
    "nats.persistence.size": r"^[1-9][0-9]{0,5}(Mi|Gi|Ti)$",
    "functionNamespace": r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
    "image.digest": r"^(sha256:[0-9a-f]{64})?$",
}
ITEMS: Mapping[str, str] = {
    "callbacks.allow": "string",
    "callbacks.deny": "string",
    "networkPolicies.apiServerCidrs": "string",
    "networkPolicies.apiServerPorts": "integer",
}
"""What lists hold; objects where it is not said."""

FREE_TEXT = {"commonLabels", "podAnnotations", "nodeSelector", "externalServiceAnnotations", "ingress.annotations"}
"""Maps of text to text; other empty maps, and resources, are Kubernetes' own business."""

SHAPES = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}


@dataclass(frozen=True, slots=True)
class Value:
    """One key of ``values.yaml``; ``path`` as Helm's ``--set`` takes it."""

    path: str
    default: Any
    comment: str


def chart_values() -> list[Value]:
    """All that have a comment, in their order."""
    text = VALUES.read_text()
    tree = yaml.safe_load(text)
    return [Value(path, _at(tree, path), comment) for path, comment in _commented(text.splitlines())]


def schema() -> str:
    """JSON Schema of the chart's values: an unknown key is an error."""
    comments = {value.path: value.comment for value in chart_values()}
    tree = yaml.safe_load(VALUES.read_text())
    body = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values", **_object("", tree, comments)}
    # Helm hands the values of a parent chart down under this key.
    body["properties"]["global"] = {"type": "object"}
    return json.dumps(body, indent=2) + "\n"


def settings_of(part: str) -> list[Declared]:
    """What ``PART.settings`` takes."""
    sections = [value for value in vars(PARTS[part]).values() if isinstance(value, Section)]
    found = {item.env: item for section in sections for item in declared(section.cls)}
    return [item for env, item in sorted(found.items()) if not OURS.fullmatch(env)]


def _object(path: str, tree: Mapping[str, Any], comments: Mapping[str, str]) -> dict[str, Any]:
    properties = {key: _property(f"{path}.{key}".lstrip("."), value, comments) for key, value in tree.items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _property(path: str, default: Any, comments: Mapping[str, str]) -> dict[str, Any]:
    said = {"description": comments[path]} if path in comments else {}
    part, _, last = path.partition(".")
    if last == "settings":
        return said | _settings(part)
    if path in FREE_TEXT:
        return said | {"type": "object", "additionalProperties": {"type": "string"}}
    if isinstance(default, dict) and default and not path.endswith(".resources"):
        return said | _object(path, default, comments)
    found: dict[str, Any] = said | {"type": SHAPES[type(default)]}
    if path in CHOICES:
        found["enum"] = CHOICES[path]
    if path in PATTERNS:
        found["pattern"] = PATTERNS[path]
    if found["type"] == "integer":
        found["minimum"] = LEAST.get(path, 0)
        if path in MOST:
            found["maximum"] = MOST[path]
    if found["type"] == "array":
        found["items"] = connectors(OURS) if path == CONNECTORS else {"type": ITEMS.get(path, "object")}
    return found


def _settings(part: str) -> dict[str, Any]:
    known = {
        item.env: {"type": ["string", "number", "boolean"], "description": item.help} for item in settings_of(part)
    }
    return {"type": "object", "additionalProperties": False, "properties": known}


def _commented(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Path and comment of each key; a comment belongs to the key below it."""
    above: list[str] = []
    stack: list[tuple[int, str]] = []
    for line in lines:
        bare = line.strip()
        if bare.startswith("#"):
            above.append(bare.removeprefix("#").strip())
            continue
        key = re.match(r"( *)([A-Za-z_]+):", line)
        if key is not None:
            indent = len(key[1])
            stack = [(at, name) for at, name in stack if at < indent] + [(indent, key[2])]
            if above:
                yield ".".join(name for _, name in stack), " ".join(above)
        above = []


def _at(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree[key]
    return tree


def shown(default: Any) -> str:
    """As it is written; nothing for what is empty."""
    return json.dumps(default) if default not in ("", [], {}) else ""
