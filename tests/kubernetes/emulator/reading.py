"""Lists: selection, pages, and at which version."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from tests.kubernetes.emulator import event_views
from tests.kubernetes.emulator.objects import Object, name_of, namespace_of
from tests.kubernetes.emulator.options import version, whole
from tests.kubernetes.emulator.resources import Resource
from tests.kubernetes.emulator.selectors import Matches, field_selector, label_selector
from tests.kubernetes.emulator.statuses import ApiError, bad_request, expired, too_large_version
from tests.kubernetes.emulator.store import Compacted, Store

_OF_LIST = ("kind", "apiVersion")
_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


def seen(resource: Resource, thing: Object) -> Object:
    """As clients of this version see a stored object."""
    if resource.group == event_views.GROUP:
        return event_views.from_core(thing)
    return thing if thing["apiVersion"] == resource.api_version else thing | {"apiVersion": resource.api_version}


def _item(resource: Resource, thing: Object) -> Object:
    """In lists of built-in kinds, items do not repeat kind and version."""
    shown = seen(resource, thing)
    return shown if resource.custom else {key: value for key, value in shown.items() if key not in _OF_LIST}


def selection(resource: Resource, query: Mapping[str, str]) -> Matches:
    """Raises ApiError 400."""
    by_label = label_selector(query.get("labelSelector", ""))
    fields = query.get("fieldSelector", "").replace("regarding.", "involvedObject.")
    by_field = field_selector(fields, "" if resource.custom else resource.plural)
    return lambda thing: by_label(thing) and by_field(thing)


class Lists:
    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, resource: Resource, namespace: str, query: Mapping[str, str]) -> Object:
        """The list object. Raises ApiError."""
        matches = selection(resource, query)
        limit, token = whole(query, "limit"), query.get("continue", "")
        at, start = self._from_token(query, token) if token else (self._version(query), None)
        items = [thing for thing in self._items(resource, namespace, at) if matches(thing)]
        if start is not None:
            items = [thing for thing in items if (namespace_of(thing), name_of(thing)) > start]
        meta: Object = {"resourceVersion": str(at)}
        if limit and len(items) > limit:
            last = items[limit - 1]
            meta["continue"] = _token(at, last)
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                meta["remainingItemCount"] = len(items) - limit
            items = items[:limit]
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": meta,
            "items": [_item(resource, thing) for thing in items],
        }

    def _items(self, resource: Resource, namespace: str, at: int) -> list[Object]:
        if at >= self._store.version:
            return self._store.objects(resource.key, namespace)
        try:
            return self._store.objects_at(resource.key, at, namespace)
        except Compacted as error:
            raise expired(_EXPIRED) from error

    def _version(self, query: Mapping[str, str]) -> int:
        wanted, match = version(query), query.get("resourceVersionMatch", "")
        if match and wanted is None:
            raise _invalid_match("resourceVersionMatch is forbidden unless resourceVersion is provided")
        if match not in ("", "Exact", "NotOlderThan"):
            raise _invalid_match(f'supported values: "Exact", "NotOlderThan", ""; not "{match}"')
        if match == "Exact" and wanted == 0:
            raise _invalid_match('resourceVersionMatch "Exact" is forbidden for resourceVersion "0"')
        if wanted is not None and wanted > self._store.version:
            raise too_large_version(wanted, self._store.version)
        if match == "Exact" and wanted is not None:
            if wanted < self._store.compacted:
                raise expired(f"too old resource version: {wanted} ({self._store.compacted})")
            return wanted
        return self._store.version

    def _from_token(self, query: Mapping[str, str], token: str) -> tuple[int, tuple[str, str]]:
        if query.get("resourceVersion", "0") not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        try:
            given: Any = json.loads(base64.urlsafe_b64decode(token))
            at, start = int(given["rv"]), (str(given["ns"]), str(given["start"]))
        except (ValueError, KeyError, TypeError) as error:
            raise bad_request("continue key is not valid: malformed value") from error
        if at < self._store.compacted:
            raise expired(_EXPIRED)
        return at, start


def _token(at: int, last: Object) -> str:
    given = {"v": "meta.k8s.io/v1", "rv": at, "ns": namespace_of(last), "start": name_of(last)}
    return base64.urlsafe_b64encode(json.dumps(given).encode()).decode()


def _invalid_match(why: str) -> ApiError:
    return ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: {why}')
