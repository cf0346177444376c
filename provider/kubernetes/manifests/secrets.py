"""Secrets of functions: as objects, and as files in their pods."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from springtide.provider.kubernetes.manifests import keys
from springtide.runtime.kubernetes.api import Json

PULL_TYPES = ("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson")
MAX_VOLUME_NAME = 63


def secret_of(namespace: str, name: str, value: bytes) -> Json:
    """A secret with one file in it, called like the secret itself."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": {keys.MANAGED_BY: keys.OPENFAAS}},
        "type": "Opaque",
        "data": {name: base64.b64encode(value).decode()},
    }


def is_listed(secret: Mapping[str, Any]) -> bool:
    labels = secret["metadata"].get("labels") or {}
    return bool(labels.get(keys.MANAGED_BY) == keys.OPENFAAS)


def is_pull_secret(secret: Mapping[str, Any]) -> bool:
    """Credentials of a registry: used to fetch images, not shown to the function."""
    return secret.get("type") in PULL_TYPES


def volume_name(function: str) -> str:
    """As OpenFaaS calls it, where that fits into a name."""
    name = f"{function}-projected-secrets"
    return name if len(name) <= MAX_VOLUME_NAME else "projected-secrets"


def projected_volume(function: str, names: Sequence[str]) -> Json:
    """Every key of every secret is a file."""
    sources = [{"secret": {"name": name}} for name in names]
    return {"name": volume_name(function), "projected": {"sources": sources}}


def names_in(pod: Mapping[str, Any]) -> tuple[str, ...]:
    """The secrets that a pod's spec has as files or to fetch images, sorted."""
    mounted = [
        source["secret"]["name"]
        for volume in pod.get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
        if "secret" in source
    ]
    pulled = [entry["name"] for entry in pod.get("imagePullSecrets") or ()]
    return tuple(sorted({*mounted, *pulled}))
