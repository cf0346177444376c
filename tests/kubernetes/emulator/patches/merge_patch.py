"""JSON merge patch, RFC 7396."""

from __future__ import annotations

from typing import Any

from tests.kubernetes.emulator.objects import clone


def apply(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = apply(result.get(key), value)
    return result
