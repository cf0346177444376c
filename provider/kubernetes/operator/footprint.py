"""What the operator keeps of each object it watches: enough to see that somebody changed it, and how it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from springtide.provider.kubernetes.manifests import keys
from springtide.runtime.kubernetes.api import Json

FIELDS = ("name", "namespace", "uid", "resourceVersion", "generation", "deletionTimestamp", "labels", "ownerReferences")
DIGEST = "digest"


def footprint_of(value: Json) -> Json:
    """Of a Deployment, a Service or an autoscaler."""
    metadata = {field: value["metadata"][field] for field in FIELDS if field in value["metadata"]}
    spec = value.get("spec") or {}
    return {
        "apiVersion": value.get("apiVersion", ""),
        "kind": value.get("kind", ""),
        "metadata": metadata,
        "spec": {field: spec[field] for field in ("replicas", "selector") if field in spec},
        "status": value.get("status") or {},
        DIGEST: digest_of(spec),
    }


def digest_of(spec: Mapping[str, Any]) -> str:
    """Of a spec without its replicas, which whoever scales may change."""
    rest = {key: item for key, item in spec.items() if key != "replicas"}
    return hashlib.blake2b(json.dumps(rest, sort_keys=True).encode(), digest_size=16).hexdigest()


def trace_of(footprint: Json | None) -> str:
    """Another one whenever an object was changed, deleted, made anew, or taken from its owner."""
    if footprint is None:
        return ""
    metadata = footprint["metadata"]
    owners = ",".join(sorted(owner["uid"] for owner in metadata.get("ownerReferences") or ()))
    labelled = (metadata.get("labels") or {}).get(keys.FUNCTION, "")
    return f"{metadata.get('uid')} {footprint[DIGEST]} {owners} {labelled}"
