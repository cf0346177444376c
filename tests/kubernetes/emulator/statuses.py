"""Failures as the API tells them: a ``Status`` object with reason, message, details and the HTTP status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.kubernetes.emulator.objects import Object


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing wrong with one field."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    def text(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message

    def as_json(self) -> Object:
        return {"reason": self.reason, "message": self.message, "field": self.field}


def wrong(path: str, value: Any, why: str) -> Cause:
    return Cause(path, f"Invalid value: {_quoted(value)}: {why}")


def required(path: str, why: str = "") -> Cause:
    return Cause(path, "Required value" + (f": {why}" if why else ""), "FieldValueRequired")


def duplicate(path: str, value: Any) -> Cause:
    return Cause(path, f"Duplicate value: {_quoted(value)}", "FieldValueDuplicate")


def unsupported(path: str, value: Any, supported: Sequence[str]) -> Cause:
    allowed = ", ".join(f'"{one}"' for one in sorted(supported))
    return Cause(path, f"Unsupported value: {_quoted(value)}: supported values: {allowed}", "FieldValueNotSupported")


def not_allowed(path: str, why: str) -> Cause:
    return Cause(path, f"Forbidden: {why}", "FieldValueForbidden")


def _quoted(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


@dataclass(slots=True)
class ApiError(Exception):
    """A request that fails; the server answers ``as_json()``."""

    code: int
    reason: str
    message: str
    details: Object = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code} {self.reason}: {self.message}"

    def as_json(self) -> Object:
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            body["details"] = self.details
        if not self.reason:
            del body["reason"]
        return body


def qualified(resource: str, group: str) -> str:
    return f"{resource}.{group}" if group else resource


def _about(group: str, kind: str, name: str) -> Object:
    details = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in details.items() if value}


def not_found(group: str, resource: str, name: str) -> ApiError:
    message = f'{qualified(resource, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, _about(group, resource, name))


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(group: str, resource: str, name: str) -> ApiError:
    message = f'{qualified(resource, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _about(group, resource, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(group: str, resource: str, name: str, why: str = MODIFIED) -> ApiError:
    message = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _about(group, resource, name))


def apply_conflict(causes: Sequence[Cause]) -> ApiError:
    """Fields that other managers own, each cause naming its manager."""
    by_manager: dict[str, list[str]] = {}
    for cause in causes:
        by_manager.setdefault(cause.message, []).append(cause.field)
    listing = "\n".join(
        f"{message}: {fields[0]}" if len(fields) == 1 else f"{message}:\n" + "\n".join(f"- {one}" for one in fields)
        for message, fields in by_manager.items()
    )
    plural = "s" if len(causes) != 1 else ""
    message = f"Apply failed with {len(causes)} conflict{plural}: {listing}"
    return ApiError(409, "Conflict", message, {"causes": [cause.as_json() for cause in causes]})


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    texts = [cause.text() for cause in causes]
    listing = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = _about(group, kind, name) | {"causes": [cause.as_json() for cause in causes]}
    return ApiError(422, "Invalid", f'{qualified(kind, group)} "{name}" is invalid: {listing}', details)


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def forbidden(group: str, resource: str, name: str, why: str) -> ApiError:
    quoted = f' "{name}"' if name else ""
    message = f"{qualified(resource, group)}{quoted} is forbidden: {why}"
    return ApiError(403, "Forbidden", message, _about(group, resource, name))


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def expired(message: str) -> ApiError:
    return ApiError(410, "Expired", message)


def method_not_allowed() -> ApiError:
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def unsupported_media_type(supported: Sequence[str]) -> ApiError:
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(supported)
    return ApiError(415, "UnsupportedMediaType", message)


def too_many_requests(retry_after_s: int) -> ApiError:
    message = "the server has received too many requests and has asked us to try again later"
    return ApiError(
        429,
        "TooManyRequests",
        message,
        {"retryAfterSeconds": retry_after_s} if retry_after_s else {},
        {"Retry-After": str(retry_after_s)},
    )


def internal(message: str) -> ApiError:
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")


def unavailable(retry_after_s: int) -> ApiError:
    headers = {"Retry-After": str(retry_after_s)}
    return ApiError(503, "ServiceUnavailable", "the server is currently unable to handle the request", {}, headers)


def too_large_version(wanted: int, current: int) -> ApiError:
    """A client asks for a version that is not there yet, as after a switch to an API server that lags."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiError(
        504,
        "Timeout",
        f"Too large resource version: {wanted}, current: {current}",
        {"causes": [cause], "retryAfterSeconds": 1},
        {"Retry-After": "1"},
    )
