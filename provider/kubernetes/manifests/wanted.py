"""What is wanted of one function: what was asked for, and what the cluster adds to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from springtide.provider.kubernetes.manifests.profiles import Profile
from springtide.provider.spec import FunctionSpec
from springtide.runtime.kubernetes.api import Json
from springtide.scaler.core.vocabulary import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
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


def head(wanted: Wanted, *, annotations: Mapping[str, str], labels: Mapping[str, str]) -> Json:
    """The metadata that a function's objects have in common."""
    metadata: Json = {
        "name": wanted.spec.ref.name,
        "namespace": wanted.spec.ref.namespace,
        "labels": dict(labels),
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    if wanted.owner is not None:
        metadata["ownerReferences"] = [wanted.owner]
    return metadata
