"""Deleting: at once, gracefully, or when the finalizers have let go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.kubernetes.emulator.objects import Object, deleting, dig, name_of, timestamp, uid_of
from tests.kubernetes.emulator.options import flag, whole
from tests.kubernetes.emulator.resources import Resource, StoreKey
from tests.kubernetes.emulator.schemas import Schemas, TypeMismatch
from tests.kubernetes.emulator.statuses import ApiError, bad_request, conflict, forbidden, not_found
from tests.kubernetes.emulator.store import Store, edited

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
POLICIES = ("Background", "Foreground", "Orphan")
PROTECTED = ("default", "kube-system", "kube-public")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOptions:
    grace_s: int | None = None
    policy: str = ""
    uid: str = ""
    version: str = ""
    dry_run: bool = False


def delete_options(schemas: Schemas, body: Any, query: Mapping[str, str]) -> DeleteOptions:
    """From the body, or from the query where there is none. Raises ApiError."""
    if body:
        try:
            schema = schemas.named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")
            given = schemas.decode({**body, "apiVersion": "v1", "kind": "DeleteOptions"}, schema).value
        except TypeMismatch as error:
            raise bad_request(str(error)) from error
    else:
        orphan = query.get("orphanDependents")
        given = {
            "gracePeriodSeconds": whole(query, "gracePeriodSeconds"),
            "propagationPolicy": query.get("propagationPolicy"),
            "orphanDependents": None if orphan is None else flag(query, "orphanDependents"),
            "dryRun": [query["dryRun"]] if query.get("dryRun") else [],
        }
    policy, orphan = given.get("propagationPolicy") or "", given.get("orphanDependents")
    if policy and orphan is not None:
        raise _invalid("propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set")
    if policy and policy not in POLICIES:
        raise _invalid("propagationPolicy", policy, "needs to be one of Foreground, Background, Orphan or nil")
    if orphan is not None:
        policy = "Orphan" if orphan else "Background"
    grace = given.get("gracePeriodSeconds")
    return DeleteOptions(
        grace_s=grace,
        policy=policy,
        uid=dig(given, "preconditions", "uid", default=""),
        version=dig(given, "preconditions", "resourceVersion", default=""),
        dry_run="All" in (given.get("dryRun") or ()),
    )


def _invalid(field: str, value: str, why: str) -> ApiError:
    return ApiError(
        422, "Invalid", f'DeleteOptions.meta.k8s.io "" is invalid: {field}: Invalid value: "{value}": {why}'
    )


class Deletions:
    def __init__(self, store: Store) -> None:
        self._store = store

    def delete(self, resource: Resource, namespace: str, name: str, chosen: DeleteOptions) -> Object:
        """What the server answers: the object, or a Status. Raises ApiError."""
        old = self._store.get(resource.key, namespace, name)
        if old is None:
            raise not_found(resource.group, resource.plural, name)
        self._check(resource, old, chosen)
        if chosen.dry_run:
            return old
        finalizers = _finalizers(old, chosen.policy)
        grace_s = _grace_s(resource, old, chosen)
        if resource.plural == "namespaces" and not resource.custom:
            return self._mark(resource, old, finalizers, None)
        if not finalizers and not grace_s:
            last = self._store.remove(resource.key, old)
            return last if resource.returns_deleted else _success(resource, old)
        return self._mark(resource, old, finalizers, grace_s)

    def _check(self, resource: Resource, old: Object, chosen: DeleteOptions) -> None:
        name, meta = name_of(old), old["metadata"]
        if chosen.uid and chosen.uid != uid_of(old):
            why = f"Precondition failed: UID in precondition: {chosen.uid}, UID in object meta: {uid_of(old)}"
            raise conflict(resource.group, resource.plural, name, why)
        if chosen.version and chosen.version != meta["resourceVersion"]:
            why = (
                f"Precondition failed: ResourceVersion in precondition: {chosen.version}, "
                f"ResourceVersion in object meta: {meta['resourceVersion']}"
            )
            raise conflict(resource.group, resource.plural, name, why)
        if resource.key == StoreKey("", "namespaces") and name in PROTECTED:
            raise forbidden("", "namespaces", name, "this namespace may not be deleted")

    def _mark(self, resource: Resource, old: Object, finalizers: list[str], grace_s: int | None) -> Object:
        new = edited(old)
        meta = new["metadata"]
        if finalizers:
            meta["finalizers"] = finalizers
        before = meta.get("deletionGracePeriodSeconds")
        if not deleting(old) or (grace_s is not None and before is not None and grace_s < before):
            moment = datetime.now(UTC) + timedelta(seconds=grace_s or 0)
            meta["deletionTimestamp"] = timestamp(moment)
            meta["deletionGracePeriodSeconds"] = grace_s or 0
            if resource.generation:
                meta["generation"] = meta.get("generation", 0) + 1
        if resource.key == StoreKey("", "namespaces"):
            meta.pop("deletionGracePeriodSeconds", None)
            new.setdefault("status", {})["phase"] = "Terminating"
        if new == old:
            return old
        return self._store.put(resource.key, new)


def _finalizers(old: Object, policy: str) -> list[str]:
    kept = [one for one in old["metadata"].get("finalizers", ()) if one not in (FOREGROUND, ORPHAN) or not policy]
    if policy == "Foreground":
        kept.append(FOREGROUND)
    if policy == "Orphan":
        kept.append(ORPHAN)
    return kept


def _grace_s(resource: Resource, old: Object, chosen: DeleteOptions) -> int | None:
    if not resource.graceful:
        return None
    if not dig(old, "spec", "nodeName") or dig(old, "status", "phase") in ("Succeeded", "Failed"):
        return 0
    grace = chosen.grace_s
    if grace is None:
        grace = dig(old, "metadata", "deletionGracePeriodSeconds")
    if grace is None:
        grace = dig(old, "spec", "terminationGracePeriodSeconds", default=30)
    return max(1, int(grace)) if grace < 0 else int(grace)


def _success(resource: Resource, old: Object) -> Object:
    details = {"name": name_of(old), "group": resource.group, "kind": resource.plural, "uid": uid_of(old)}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }
