"""What a request says beside its object: the query parameters, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.kubernetes.emulator.statuses import ApiError, bad_request

VALIDATIONS = ("Ignore", "Warn", "Strict")
MAX_MANAGER_LENGTH = 128


@dataclass(slots=True, kw_only=True)
class WriteOptions:
    """``warnings`` is filled while the write is done; the answer carries them as headers."""

    manager: str = "emulator"
    validation: str = "Strict"
    dry_run: bool = False
    force: bool = False
    subresource: str = ""
    tracked: bool = True
    """False: the writer does not become the owner of fields. The cluster's own components write so, for speed."""
    warnings: list[str] = field(default_factory=list)


def write_options(query: Mapping[str, str], user_agent: str, subresource: str) -> WriteOptions:
    """Raises ApiError 400."""
    validation = query.get("fieldValidation") or "Warn"
    if validation not in VALIDATIONS:
        raise _invalid("fieldValidation", validation, VALIDATIONS)
    dry_run = query.get("dryRun", "")
    if dry_run not in ("", "All"):
        raise _invalid("dryRun", dry_run, ("All",))
    manager = query.get("fieldManager") or user_agent.split("/", 1)[0] or "unknown"
    if len(manager) > MAX_MANAGER_LENGTH or not manager.isprintable():
        raise ApiError(422, "Invalid", f'fieldManager: Invalid value: "{manager}": may not be more than 128 bytes')
    return WriteOptions(
        manager=manager,
        validation=validation,
        dry_run=bool(dry_run),
        force=flag(query, "force"),
        subresource=subresource,
    )


def flag(query: Mapping[str, str], name: str) -> bool:
    """Raises ApiError 400 for what is neither true nor false."""
    value = query.get(name, "").lower()
    if value in ("", "0", "false", "f"):
        return False
    if value in ("1", "true", "t"):
        return True
    raise bad_request(f'parsing "{value}": invalid syntax for the parameter {name}')


def whole(query: Mapping[str, str], name: str) -> int | None:
    """Raises ApiError 400 for what is no number."""
    value = query.get(name, "")
    if not value:
        return None
    if not value.lstrip("-").isdecimal():
        raise bad_request(f'strconv.ParseInt: parsing "{value}": invalid syntax')
    return int(value)


def version(query: Mapping[str, str]) -> int | None:
    """The resourceVersion; None for any. Raises ApiError 400."""
    value = query.get("resourceVersion", "")
    if value and not value.isdecimal():
        message = f'resourceVersion: Invalid value: "{value}": strconv.ParseUint: parsing "{value}": invalid syntax'
        raise ApiError(400, "BadRequest", message)
    return int(value) if value else None


def _invalid(name: str, value: str, known: tuple[str, ...]) -> ApiError:
    listing = ", ".join(f'"{one}"' for one in known)
    message = f'{name}: Unsupported value: "{value}": supported values: {listing}'
    return ApiError(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: {message}')
