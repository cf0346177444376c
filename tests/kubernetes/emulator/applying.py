"""Server-side apply, up to the object it makes: the write itself is like any other."""

from __future__ import annotations

from typing import Any

from tests.kubernetes.emulator.changes import appliable
from tests.kubernetes.emulator.decoding import Decoder, check_kind, place
from tests.kubernetes.emulator.objects import Object, dig
from tests.kubernetes.emulator.options import WriteOptions
from tests.kubernetes.emulator.ownership import managers
from tests.kubernetes.emulator.ownership.field_sets import Shapes
from tests.kubernetes.emulator.ownership.managers import Entry, Manager, Owners
from tests.kubernetes.emulator.ownership.merging import NotTyped, check
from tests.kubernetes.emulator.resources import Resource
from tests.kubernetes.emulator.statuses import ApiError, bad_request, conflict, not_found
from tests.kubernetes.emulator.store import edited


class Applying:
    def __init__(self, decoder: Decoder, shapes: Shapes) -> None:
        self._decoder, self._shapes = decoder, shapes

    def merged(
        self, resource: Resource, name: str, namespace: str, given: Any, *, old: Object | None, chosen: WriteOptions
    ) -> tuple[Object, list[Entry]]:
        """The object with the configuration merged in, and its managers then. Raises ApiError."""
        config = _config(resource, name, namespace, given)
        meta, schema = config["metadata"], self._decoder.typed(resource)
        try:
            check(self._shapes, config, schema)
        except NotTyped as error:
            about = f"{namespace}/{name}; {resource.api_version}, Kind={resource.kind}"
            raise ApiError(500, "", f"failed to create typed patch object ({about}): {error}") from error
        _check_identity(resource, name, meta, old, chosen)
        identity = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}
        live = self._decoder.view(resource, old) if old else identity
        manager = Manager(chosen.manager, managers.APPLY, resource.api_version, chosen.subresource)
        owners = Owners(self._shapes, schema)
        config = appliable(config, chosen.subresource, resource)
        merged, entries = owners.applied(live, config, manager, force=chosen.force)
        merged["metadata"] = dict(merged.get("metadata", {})) if old else dict(meta)
        return merged, entries


def _config(resource: Resource, name: str, namespace: str, given: Any) -> Object:
    if not isinstance(given, dict):
        raise bad_request("error decoding YAML: the configuration is not an object")
    check_kind(resource, given)
    config = edited(given)
    meta = config.setdefault("metadata", {})
    if dig(meta, "managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    if meta.setdefault("name", name) != name:
        raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
    place(resource, meta, namespace)
    return config


def _check_identity(resource: Resource, name: str, meta: Object, old: Object | None, chosen: WriteOptions) -> None:
    """That it is this object, in this version, where the configuration says so."""
    uid, version = meta.get("uid"), meta.pop("resourceVersion", None)
    if old is None and (uid or chosen.subresource):
        raise not_found(resource.group, resource.plural, name)
    if uid and uid != dig(old, "metadata", "uid"):
        raise conflict(resource.group, resource.plural, name, "uid mismatch: the provided object specified another uid")
    if version is not None and version != dig(old, "metadata", "resourceVersion"):
        raise conflict(resource.group, resource.plural, name)
