"""What a write may change, and whether it has changed anything."""

from __future__ import annotations

from tests.kubernetes.emulator.objects import Object, dig
from tests.kubernetes.emulator.resources import Resource
from tests.kubernetes.emulator.store import edited

SYSTEM_FIELDS = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
)
SET_BY_SERVER = (*SYSTEM_FIELDS, "resourceVersion", "managedFields")
_IDENTITY = ("apiVersion", "kind", "metadata")


def restricted(resource: Resource, new: Object, old: Object, subresource: str) -> Object:
    """Only what this way of writing may change."""
    if subresource == "status":
        return _status_only(resource, new, old)
    if resource.has_status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = edited(old["status"])
    for field in SYSTEM_FIELDS:
        new["metadata"].pop(field, None)
        if field in old["metadata"]:
            new["metadata"][field] = old["metadata"][field]
    return new


def _status_only(resource: Resource, new: Object, old: Object) -> Object:
    meta, given = dict(old["metadata"]), new["metadata"]
    if not resource.custom and "annotations" in given:
        meta["annotations"] = given["annotations"]
    if "resourceVersion" in given:
        meta["resourceVersion"] = given["resourceVersion"]
    kept = {key: value for key, value in old.items() if key not in ("status", "metadata")}
    return edited(kept | {"metadata": meta} | ({"status": new["status"]} if "status" in new else {}))


def appliable(config: Object, subresource: str, resource: Resource) -> Object:
    """The part of a configuration that this endpoint may set."""
    if subresource == "status":
        return {key: value for key, value in config.items() if key in (*_IDENTITY, "status")}
    if resource.has_status:
        return {key: value for key, value in config.items() if key != "status"}
    return config


def without_meta(thing: Object) -> Object:
    return {key: value for key, value in thing.items() if key not in _IDENTITY}


def content(resource: Resource, thing: Object) -> Object:
    """What metadata.generation counts the changes of."""
    whole = without_meta(thing)
    if resource.plural == "deployments":  # their annotations are copied to their ReplicaSets, and so count
        whole |= {"annotations": thing["metadata"].get("annotations") or {}}
    return {key: value for key, value in whole.items() if key != "status"} if resource.has_status else whole


def same(new: Object, old: Object) -> bool:
    """Nothing but times of managers differs: such a write is none."""
    return _comparable(new) == _comparable(old)


def _comparable(thing: Object) -> Object:
    meta = {key: value for key, value in thing["metadata"].items() if key != "resourceVersion"}
    entries = [{key: value for key, value in one.items() if key != "time"} for one in meta.get("managedFields", ())]
    return thing | {"metadata": meta | {"managedFields": sorted(entries, key=str)}}


def may_go(resource: Resource, thing: Object) -> bool:
    """Whether an object that is being deleted and has no finalizers left is to vanish with this write."""
    if resource.plural == "namespaces" and not resource.custom:
        return not dig(thing, "spec", "finalizers")
    # A pod being ended is the node's to remove.
    return not resource.graceful or not dig(thing, "metadata", "deletionGracePeriodSeconds", default=0)
