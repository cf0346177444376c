"""A function's Deployment and its Service, from what is desired and what is there."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from springtide.provider.kubernetes.manifests import function_object, keys
from springtide.provider.kubernetes.manifests.container import container_of, grace_s
from springtide.provider.kubernetes.manifests.profiles import Profile
from springtide.provider.kubernetes.manifests.resources import node_selector
from springtide.provider.kubernetes.manifests.secrets import projected_volume
from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.provider.spec import FunctionSpec, rfc3339
from springtide.runtime.kubernetes.api import Json
from springtide.scaler.core.vocabulary import Instant

TEMP_VOLUME = "temp"
REVISIONS_KEPT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredFunction:
    """One function as it shall be."""

    spec: FunctionSpec
    rollout: str
    """Pods roll when it differs from theirs: something new for each deployment, the same for a mere repair."""
    created: Instant | None = None
    """Now, for a function that is not there yet."""
    pull_secrets: Collection[str] = ()
    """Those of the spec's secrets that are registry credentials."""
    profiles: tuple[Profile, ...] = ()
    existing: Mapping[str, Any] | None = None
    """The Deployment that is there: whoever made it, its selector cannot change."""
    owner: Json | None = None
    """An owner reference (``owner_of``): what is made goes with it."""


def owner_of(value: Mapping[str, Any]) -> Json:
    """A reference to an object that controls others.

    It does not block the owner's deletion: that would take a permission on the owner's finalizers, and gain nothing.
    """
    metadata = value["metadata"]
    return {
        "apiVersion": value["apiVersion"],
        "kind": value["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


def head(desired: DesiredFunction, *, annotations: Mapping[str, str], labels: Mapping[str, str]) -> Json:
    """The metadata that a function's objects have in common."""
    metadata: Json = {
        "name": desired.spec.ref.name,
        "namespace": desired.spec.ref.namespace,
        "labels": dict(labels),
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    if desired.owner is not None:
        metadata["ownerReferences"] = [desired.owner]
    return metadata


def deployment_of(desired: DesiredFunction, settings: ManifestSettings) -> Json:
    """For server-side apply with our field manager. Says nothing about ``spec.replicas``: see the package."""
    template: Json = {
        "metadata": {"labels": pod_labels(desired), "annotations": annotations_of(desired.spec)},
        "spec": _pod(desired, settings),
    }
    spec: Json = {
        "selector": _selector(desired),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "revisionHistoryLimit": REVISIONS_KEPT,
        "template": template,
    }
    for profile in desired.profiles:
        profile.merge_into(spec)
    own = {keys.SPEC: json.dumps(function_object.spec_of(desired.spec), sort_keys=True), **_created(desired)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": head(
            desired,
            annotations={**annotations_of(desired.spec), **own},
            labels={keys.FUNCTION: desired.spec.ref.name},
        ),
        "spec": spec,
    }


def service_of(desired: DesiredFunction) -> Json:
    """Its labels end up on the EndpointSlices, which can be watched by them then."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": head(
            desired, annotations=annotations_of(desired.spec), labels={keys.FUNCTION: desired.spec.ref.name}
        ),
        "spec": {
            "type": "ClusterIP",
            "selector": _match_labels(desired),
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


def pod_labels(desired: DesiredFunction) -> dict[str, str]:
    own = {keys.ROLLOUT: desired.rollout, keys.FUNCTION: desired.spec.ref.name}
    return {**user_labels(desired.spec), **own, **_kept_labels(desired.existing)}


def _selector(desired: DesiredFunction) -> Json:
    """Immutable: what is there stays."""
    if desired.existing is not None:
        selector: Json = desired.existing["spec"]["selector"]
        return selector
    return {"matchLabels": {keys.FUNCTION: desired.spec.ref.name}}


def _match_labels(desired: DesiredFunction) -> dict[str, str]:
    return dict(_selector(desired).get("matchLabels") or {}) or {keys.FUNCTION: desired.spec.ref.name}


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


def _created(desired: DesiredFunction) -> dict[str, str]:
    """Once said, it is said again: an apply that left it out would remove it."""
    if desired.existing is not None:
        before = (desired.existing["metadata"].get("annotations") or {}).get(keys.CREATED)
        return {keys.CREATED: before} if before else {}
    return {} if desired.created is None else {keys.CREATED: rfc3339(desired.created)}


def _pod(desired: DesiredFunction, settings: ManifestSettings) -> Json:
    spec = desired.spec
    secrets = [name for name in dict.fromkeys(spec.secrets) if name not in desired.pull_secrets]
    pulls = [name for name in dict.fromkeys(spec.secrets) if name in desired.pull_secrets]
    volumes: list[Json] = [projected_volume(spec.ref.name, secrets)] if secrets else []
    if spec.read_only_root_filesystem:
        volumes.append({"name": TEMP_VOLUME, "emptyDir": {}})
    pod: Json = {
        "containers": [container_of(spec, settings, secrets=bool(secrets), temp_volume=TEMP_VOLUME)],
        "volumes": volumes,
        "imagePullSecrets": [{"name": name} for name in pulls],
        "nodeSelector": node_selector(spec.constraints),
        "serviceAccountName": spec.annotations.get(keys.SERVICE_ACCOUNT, "").strip() or _no_account(desired.existing),
    }
    return {
        **{key: value for key, value in pod.items() if value},
        "enableServiceLinks": False,
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": grace_s(spec.env_vars, settings),
    }
