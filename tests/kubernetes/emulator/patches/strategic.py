"""Strategic merge patch: lists merge by the key that the schema names, with directives for what JSON cannot say."""

from __future__ import annotations

from typing import Any

from tests.kubernetes.emulator.objects import Object, clone
from tests.kubernetes.emulator.schemas import Schemas
from tests.kubernetes.emulator.statuses import bad_request

PATCH, ORDER, DELETE_FROM, RETAIN = "$patch", "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys"


class Strategic:
    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def apply(self, target: Any, patch: Any, schema: Object) -> Any:
        """Raises ApiError 400 for a directive or an item that makes no sense."""
        if not isinstance(patch, dict):
            return clone(patch)
        directive = patch.get(PATCH)
        if directive == "replace":
            return clone({key: value for key, value in patch.items() if key != PATCH})
        if directive == "delete":
            return {}
        if directive not in (None, "merge"):
            raise bad_request(f"Unknown patch type: {directive}")
        return self._merged(dict(target) if isinstance(target, dict) else {}, patch, schema)

    def _merged(self, result: Object, patch: Object, schema: Object) -> Object:
        for key, value in patch.items():
            field = self._field(schema, key.partition("/")[2] or key)
            if key == RETAIN:
                result = {name: kept for name, kept in result.items() if name in value}
            elif key == PATCH or key.startswith(ORDER):
                continue
            elif key.startswith(DELETE_FROM):
                name = key.removeprefix(DELETE_FROM)
                result[name] = [item for item in result.get(name, []) if item not in value]
            elif value is None:
                result.pop(key, None)
            elif isinstance(value, list) and field.get("x-kubernetes-patch-strategy", "").startswith("merge"):
                result[key] = self._lists(result.get(key, []), value, field)
            elif isinstance(value, dict):
                result[key] = self.apply(result.get(key), value, field)
            else:
                result[key] = clone(value)
        return self._reordered(result, patch, schema)

    def _lists(self, live: list[Any], patch: list[Any], field: Object) -> list[Any]:
        key = field.get("x-kubernetes-patch-merge-key")
        if key is None:
            return [*live, *(item for item in patch if item not in live)]
        if any(item.get(PATCH) == "replace" and len(item) == 1 for item in patch):
            return [clone(item) for item in patch if PATCH not in item]
        result = list(live)
        for item in patch:
            if key not in item:
                raise bad_request(f"map: {item} does not contain declared merge key: {key}")
            place = next((index for index, one in enumerate(result) if one.get(key) == item[key]), None)
            if item.get(PATCH) == "delete":
                if place is not None:
                    del result[place]
            elif place is None:
                result.append(self.apply({}, item, field.get("items", {})))
            else:
                result[place] = self.apply(result[place], item, field.get("items", {}))
        return result

    def _reordered(self, result: Object, patch: Object, schema: Object) -> Object:
        for directive, order in patch.items():
            if not directive.startswith(ORDER):
                continue
            name = directive.removeprefix(ORDER)
            key = self._field(schema, name).get("x-kubernetes-patch-merge-key")
            wanted = [item[key] if key else item for item in order]
            items = result.get(name, [])
            identities = [item.get(key) if key else item for item in items]
            ranks = {identity: wanted.index(identity) for identity in identities if identity in wanted}
            pairs = sorted(zip(identities, items, strict=True), key=lambda pair: ranks.get(pair[0], len(wanted)))
            result[name] = [item for _, item in pairs]
        return result

    def _field(self, schema: Object, name: str) -> Object:
        _, resolved = self._schemas.resolve(schema)
        properties = resolved.get("properties")
        found: Object = (properties or {}).get(name) or resolved.get("additionalProperties") or {}
        return found
