"""From a request's body to an object in the server's terms, and back to what a client of a version sees."""

from __future__ import annotations

from typing import Any

from tests.kubernetes.emulator import event_views
from tests.kubernetes.emulator.custom import definitions, structural
from tests.kubernetes.emulator.objects import Object
from tests.kubernetes.emulator.options import WriteOptions
from tests.kubernetes.emulator.resources import Resource
from tests.kubernetes.emulator.schemas import Schemas, TypeMismatch
from tests.kubernetes.emulator.statuses import ApiError, bad_request
from tests.kubernetes.emulator.store import edited

_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class Decoder:
    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def decoded(self, resource: Resource, body: Any, chosen: WriteOptions, *, patched: bool = False) -> Object:
        """A copy without unknown fields, which are refused or warned of. Raises ApiError.

        ``patched``: the body is what a patch made, so that the patch is to blame.
        """
        if not isinstance(body, dict):
            raise bad_request("the object provided is unrecognized (must be of type Object)")
        check_kind(resource, body)
        try:
            value, unknown = self._known(resource, body)
        except TypeMismatch as error:
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {error}'
            ) from error
        _refuse(resource, [f'unknown field "{one}"' for one in unknown], chosen, patched=patched)
        value = dict(value)
        value["apiVersion"], value["kind"] = resource.api_version, resource.kind
        value["metadata"] = dict(value.get("metadata") or {})
        return event_views.to_core(value) if resource.group == event_views.GROUP else edited(value)

    def _known(self, resource: Resource, body: Object) -> tuple[Any, list[str]]:
        if not resource.custom:
            decoded = self._schemas.decode(body, self.schema(resource))
            return decoded.value, decoded.unknown
        meta = self._schemas.decode(body.get("metadata", {}), self._schemas.named(_OBJECT_META))
        value, unknown = structural.prune(body | {"metadata": meta.value}, resource.schema or {})
        return value, [*unknown, *(f"metadata.{one}" for one in meta.unknown)]

    def schema(self, resource: Resource) -> Object:
        """Of a built-in kind."""
        return self._schemas.of_kind(resource.group, resource.version, resource.kind)

    def typed(self, resource: Resource) -> Object:
        """Of the object as it is stored, for ownership."""
        if resource.schema is not None:
            return definitions.typed(resource.schema)
        if resource.group == event_views.GROUP:
            return self._schemas.of_kind("", "v1", "Event")
        return self.schema(resource)

    def view(self, resource: Resource, thing: Object) -> Object:
        """A copy of a stored object, as clients of this version know it."""
        seen = event_views.from_core(thing) if resource.group == event_views.GROUP else edited(thing)
        return seen | {"apiVersion": resource.api_version}


def place(resource: Resource, meta: Object, namespace: str) -> None:
    """Put an object into the namespace of its request. Raises ApiError 400."""
    if not resource.namespaced:
        if meta.get("namespace"):
            raise bad_request("namespace may not be set on an object of cluster scope")
        return
    if meta.setdefault("namespace", namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def check_kind(resource: Resource, body: Object) -> None:
    """Raises ApiError 400."""
    version, kind = body.get("apiVersion", resource.api_version), body.get("kind", resource.kind)
    if version != resource.api_version:
        raise bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({resource.api_version})"
        )
    if kind != resource.kind:
        raise bad_request(f"the kind in the data ({kind}) does not match the expected kind ({resource.kind})")


def _refuse(resource: Resource, problems: list[str], chosen: WriteOptions, *, patched: bool) -> None:
    if problems and chosen.validation == "Strict":
        listing = f"strict decoding error: {', '.join(problems)}"
        if patched:
            raise ApiError(422, "Invalid", f' "" is invalid: patch: Invalid value: {listing}')
        if resource.custom:
            raise bad_request(listing)
        raise bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {listing}'
        )
    if chosen.validation == "Warn":
        chosen.warnings += problems
