"""Creating, replacing and patching objects, with everything the server does on the way."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from typing import Any

from tests.kubernetes.emulator import services
from tests.kubernetes.emulator.applying import Applying
from tests.kubernetes.emulator.changes import SET_BY_SERVER, content, may_go, restricted, same, without_meta
from tests.kubernetes.emulator.custom import definitions, structural
from tests.kubernetes.emulator.decoding import Decoder, place
from tests.kubernetes.emulator.defaults import DEFAULTS, empty_status
from tests.kubernetes.emulator.objects import Object, deleting, dig, name_of, namespace_of, timestamp
from tests.kubernetes.emulator.options import WriteOptions
from tests.kubernetes.emulator.ownership import managers
from tests.kubernetes.emulator.ownership.field_sets import Shapes
from tests.kubernetes.emulator.ownership.managers import Manager, Owners
from tests.kubernetes.emulator.patches import json_patch, merge_patch
from tests.kubernetes.emulator.patches.strategic import Strategic
from tests.kubernetes.emulator.resources import Resource, StoreKey
from tests.kubernetes.emulator.schemas import Schemas
from tests.kubernetes.emulator.statuses import (
    ApiError,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
    unsupported_media_type,
    wrong,
)
from tests.kubernetes.emulator.store import Store
from tests.kubernetes.emulator.validation import kinds

_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_NAMESPACES = StoreKey("", "namespaces")

JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC_PATCH, APPLY_PATCH = "application/strategic-merge-patch+json", "application/apply-patch+yaml"

Admission = Callable[[Resource, Object], None]
"""Looks at an object about to be created; raises ApiError to refuse it."""


class Writes:
    """All writes to a store, but deletion."""

    def __init__(self, store: Store, schemas: Schemas) -> None:
        self._store = store
        self._shapes, self._decoder = Shapes(schemas), Decoder(schemas)
        self._strategic = Strategic(schemas)
        self._applying = Applying(self._decoder, self._shapes)
        self.admission: list[Admission] = []

    def create(self, resource: Resource, namespace: str, body: Any, chosen: WriteOptions) -> Object:
        """Raises ApiError."""
        new = self._decoder.decoded(resource, body, chosen)
        if new["metadata"].get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        if not new["metadata"].get("name") and new["metadata"].get("generateName"):
            new["metadata"]["name"] = new["metadata"]["generateName"][:58] + random_suffix()
        return self._add(resource, namespace, new, chosen)

    def update(self, resource: Resource, namespace: str, name: str, body: Any, chosen: WriteOptions) -> Object:
        """Raises ApiError."""
        new = self._decoder.decoded(resource, body, chosen)
        place(resource, new["metadata"], namespace)
        new["metadata"].setdefault("name", name)
        if name_of(new) != name:
            raise bad_request(f"the name of the object ({name_of(new)}) does not match the name on the URL ({name})")
        old = self._store.get(resource.key, namespace, name)
        if old is None:
            if resource.create_on_update and not chosen.subresource:
                new["metadata"].pop("resourceVersion", None)
                return self.create(resource, namespace, new, chosen)
            raise not_found(resource.group, resource.plural, name)
        _check_version(resource, new, old)
        return self.replace(resource, new, old, chosen)

    def patch(
        self, resource: Resource, namespace: str, name: str, patch: Any, kind: str, chosen: WriteOptions
    ) -> Object:
        """``kind`` is the media type. Raises ApiError."""
        old = self._store.get(resource.key, namespace, name)
        if kind == APPLY_PATCH:
            merged, entries = self._applying.merged(resource, name, namespace, patch, old=old, chosen=chosen)
            new = self._decoder.decoded(resource, merged, chosen)
            if old is None:
                return self._add(resource, namespace, new, chosen, entries)
            return self.replace(resource, new, old, chosen, entries)
        if chosen.force:
            raise _invalid_option("force", "may not be specified for non-apply patch")
        if old is None:
            raise not_found(resource.group, resource.plural, name)
        new = self._decoder.decoded(resource, self._patched(resource, old, patch, kind), chosen, patched=True)
        if name_of(new) != name or namespace_of(new) != namespace:
            raise bad_request("the name or namespace of the object may not be changed by a patch")
        _check_version(resource, new, old, patched=True)
        return self.replace(resource, new, old, chosen)

    def _patched(self, resource: Resource, old: Object, patch: Any, kind: str) -> Any:
        seen = self._decoder.view(resource, old)
        if kind == JSON_PATCH:
            return json_patch.apply(seen, patch)
        if not isinstance(patch, dict):
            raise bad_request("error decoding patch: json: cannot unmarshal into map[string]interface {}")
        if kind == MERGE_PATCH:
            return merge_patch.apply(seen, patch)
        if kind == STRATEGIC_PATCH and not resource.custom:
            return self._strategic.apply(seen, patch, self._decoder.schema(resource))
        strategic = [] if resource.custom else [STRATEGIC_PATCH]
        raise unsupported_media_type([JSON_PATCH, MERGE_PATCH, APPLY_PATCH, *strategic])

    def _add(
        self,
        resource: Resource,
        namespace: str,
        new: Object,
        chosen: WriteOptions,
        entries: list[managers.Entry] | None = None,
    ) -> Object:
        """Store an object that was not there, as a request has it. Raises ApiError."""
        meta = {key: value for key, value in new["metadata"].items() if key not in SET_BY_SERVER}
        place(resource, meta, namespace)
        new["metadata"] = meta | {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp()}
        if resource.generation:
            new["metadata"]["generation"] = 1
        if resource.has_status:
            new.pop("status", None)
        self._check_namespace(resource, namespace, name_of(new))
        if self._store.get(resource.key, namespace, name_of(new)) is not None:
            raise already_exists(resource.group, resource.plural, name_of(new))
        for admit in self.admission:
            admit(resource, new)
        self._complete(resource, new, None)
        self._own(resource, new, None, chosen, entries)
        return new if chosen.dry_run else self._store.put(resource.key, new)

    def replace(
        self,
        resource: Resource,
        new: Object,
        old: Object,
        chosen: WriteOptions,
        entries: list[managers.Entry] | None = None,
    ) -> Object:
        """Write an edited copy of a stored object, as far as this way of writing may. Raises ApiError."""
        new = restricted(resource, new, old, chosen.subresource)
        self._complete(resource, new, old)
        self._own(resource, new, old, chosen, entries)
        if same(new, old):
            return old
        counts = resource.generation and chosen.subresource != "status"
        if counts and content(resource, new) != content(resource, old):
            new["metadata"]["generation"] = dig(old, "metadata", "generation", default=0) + 1
        if chosen.dry_run:
            return new | {"metadata": new["metadata"] | {"resourceVersion": old["metadata"]["resourceVersion"]}}
        if deleting(new) and not new["metadata"].get("finalizers") and may_go(resource, new):
            self._store.put(resource.key, new)
            return self._store.remove(resource.key, new)
        return self._store.put(resource.key, new)

    def _complete(self, resource: Resource, new: Object, old: Object | None) -> None:
        """Fill in what the object leaves out; then it has to be right. Raises ApiError 422."""
        if resource.custom:
            new.update(structural.fill(without_meta(new), resource.schema or {}))
        elif resource.plural in DEFAULTS:
            DEFAULTS[resource.plural](new)
            empty_status(new)
        if resource.key == services.KEY:
            services.allocate(self._store, new, old)
        problems = kinds.causes(resource, new, old)
        if resource.custom:
            problems += structural.causes(without_meta(new), resource.schema or {})
        elif resource.plural == "customresourcedefinitions":
            problems += definitions.causes(new)
        if problems:
            raise invalid(resource.group, resource.kind, name_of(new), problems)
        if resource.plural == "customresourcedefinitions" and old is None:
            new["status"] = definitions.established(new)

    def _own(
        self,
        resource: Resource,
        new: Object,
        old: Object | None,
        chosen: WriteOptions,
        entries: list[managers.Entry] | None,
    ) -> None:
        """Set metadata.managedFields; ``entries`` are those of an apply."""
        given = new["metadata"].pop("managedFields", None)
        if not chosen.tracked:
            kept = dig(old, "metadata", "managedFields", default=[])
        else:
            if entries is None:
                if old is not None and given and not chosen.subresource:
                    # A writer may say who owns what; one empty entry forgets all of it, an empty list nothing.
                    given = [] if given == [{}] else given
                    old = old | {"metadata": old["metadata"] | {"managedFields": given}}
                manager = Manager(chosen.manager, managers.UPDATE, resource.api_version, chosen.subresource)
                entries = Owners(self._shapes, self._decoder.typed(resource)).updated(old, new, manager)
            kept = [entry.as_json() for entry in entries]
        if kept:
            new["metadata"]["managedFields"] = kept

    def _check_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        if not resource.namespaced:
            return
        found = self._store.get(_NAMESPACES, "", namespace)
        if found is None:
            raise not_found("", "namespaces", namespace)
        if deleting(found):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            error = forbidden(resource.group, resource.plural, name, why)
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            error.details["causes"] = [cause]
            raise error


def _check_version(resource: Resource, new: Object, old: Object, *, patched: bool = False) -> None:
    meta = new["metadata"]
    version, uid = meta.get("resourceVersion"), meta.get("uid")
    if not version and not patched and not resource.unconditional_update:
        causes = [wrong("metadata.resourceVersion", "0x0", "must be specified for an update")]
        raise invalid(resource.group, resource.kind, name_of(new), causes)
    if version and version != dig(old, "metadata", "resourceVersion"):
        raise conflict(resource.group, resource.plural, name_of(new))
    if uid and uid != dig(old, "metadata", "uid"):
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {dig(old, 'metadata', 'uid')}"
        raise conflict(resource.group, resource.plural, name_of(new), why)


def random_suffix(length: int = 5) -> str:
    """As generated names end."""
    return "".join(secrets.choice(_NAME_LETTERS) for _ in range(length))


def _invalid_option(name: str, why: str) -> ApiError:
    return ApiError(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: {name}: Forbidden: {why}')
