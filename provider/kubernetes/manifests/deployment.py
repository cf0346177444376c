"""A function's Deployment and its Service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from springtide.provider.kubernetes.manifests import function_object, keys
from springtide.provider.kubernetes.manifests.container import container_of
from springtide.provider.kubernetes.manifests.lifecycle import grace_s
from springtide.provider.kubernetes.manifests.resources import node_selector
from springtide.provider.kubernetes.manifests.secrets import projected_volume
from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.kubernetes.manifests.wanted import Wanted, head
from springtide.provider.spec import FunctionSpec, rfc3339
from springtide.runtime.kubernetes.api import Json

TEMP_VOLUME = "temp"
REVISIONS_KEPT = 10


def deployment_of(wanted: Wanted, settings: ManifestSettings) -> Json:
    """For server-side apply with our field manager. Says nothing about ``spec.replicas``: see the package."""
    template: Json = {
        "metadata": {"labels": pod_labels(wanted), "annotations": annotations_of(wanted.spec)},
        "spec": _pod(wanted, settings),
    }
    spec: Json = {
        "selector": _selector(wanted),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "revisionHistoryLimit": REVISIONS_KEPT,
        "template": template,
    }
    for profile in wanted.profiles:
        profile.merge_into(spec)
    own = {keys.SPEC: json.dumps(function_object.spec_of(wanted.spec), sort_keys=True), **_created(wanted)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": head(
            wanted,
            annotations={**annotations_of(wanted.spec), **own},
            labels={keys.FUNCTION: wanted.spec.ref.name},
        ),
        "spec": spec,
    }


def service_of(wanted: Wanted) -> Json:
    """Its labels end up on the EndpointSlices, which can be watched by them then."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": head(wanted, annotations=annotations_of(wanted.spec), labels={keys.FUNCTION: wanted.spec.ref.name}),
        "spec": {
            "type": "ClusterIP",
            "selector": _match_labels(wanted),
            "ports": [
                {"name": keys.PORT_NAME, "protocol": "TCP", "port": keys.PORT, "targetPort": keys.PORT},
            ],
        },
    }


def annotations_of(spec: FunctionSpec) -> dict[str, str]:
    return {keys.SCRAPE: "false", **spec.annotations}


def user_labels(spec: FunctionSpec) -> dict[str, str]:
    """Without those that the provider sets itself, which clients send back as they were shown them."""
    return {key: value for key, value in spec.labels.items() if key not in (keys.FUNCTION, keys.ROLLOUT)}


def pod_labels(wanted: Wanted) -> dict[str, str]:
    own = {keys.ROLLOUT: wanted.rollout, keys.FUNCTION: wanted.spec.ref.name}
    return {**user_labels(wanted.spec), **own, **_kept_labels(wanted.existing)}


def _selector(wanted: Wanted) -> Json:
    """Immutable: what is there stays."""
    if wanted.existing is not None:
        selector: Json = wanted.existing["spec"]["selector"]
        return selector
    return {"matchLabels": {keys.FUNCTION: wanted.spec.ref.name}}


def _match_labels(wanted: Wanted) -> dict[str, str]:
    return dict(_selector(wanted).get("matchLabels") or {}) or {keys.FUNCTION: wanted.spec.ref.name}


def _kept_labels(existing: Mapping[str, Any] | None) -> dict[str, str]:
    """Pod labels that the selector of the Deployment that is there asks for."""
    if existing is None:
        return {}
    selector = existing["spec"]["selector"]
    named = {expression["key"] for expression in selector.get("matchExpressions") or ()}
    labels = existing["spec"]["template"]["metadata"].get("labels") or {}
    chosen = {key: labels[key] for key in named if key in labels}
    return chosen | dict(selector.get("matchLabels") or {})


def _no_account(existing: Mapping[str, Any] | None) -> str:
    """The API server keeps ``serviceAccount``, the field's former name, as well, and goes by that where the other one
    is taken away: an account that a function had can be replaced only."""
    template = {} if existing is None else existing["spec"]["template"].get("spec") or {}
    return "default" if template.get("serviceAccount") or template.get("serviceAccountName") else ""


def _created(wanted: Wanted) -> dict[str, str]:
    """Once said, it is said again: an apply that left it out would remove it."""
    if wanted.existing is not None:
        before = (wanted.existing["metadata"].get("annotations") or {}).get(keys.CREATED)
        return {keys.CREATED: before} if before else {}
    return {} if wanted.created is None else {keys.CREATED: rfc3339(wanted.created)}


def _pod(wanted: Wanted, settings: ManifestSettings) -> Json:
    spec = wanted.spec
    secrets = [name for name in dict.fromkeys(spec.secrets) if name not in wanted.pull_secrets]
    pulls = [name for name in dict.fromkeys(spec.secrets) if name in wanted.pull_secrets]
    volumes: list[Json] = [projected_volume(spec.ref.name, secrets)] if secrets else []
    if spec.read_only_root_filesystem:
        volumes.append({"name": TEMP_VOLUME, "emptyDir": {}})
    pod: Json = {
        "containers": [container_of(spec, settings, secrets=bool(secrets), temp_volume=TEMP_VOLUME)],
        "volumes": volumes,
        "imagePullSecrets": [{"name": name} for name in pulls],
        "nodeSelector": node_selector(spec.constraints),
        "serviceAccountName": spec.annotations.get(keys.SERVICE_ACCOUNT, "").strip() or _no_account(wanted.existing),
    }
    return {
        **{key: value for key, value in pod.items() if value},
        "enableServiceLinks": False,
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": grace_s(spec.env_vars, settings),
    }
