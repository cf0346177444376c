"""JSON patch, RFC 6902."""

from __future__ import annotations

from typing import Any

from tests.kubernetes.emulator.objects import Object, clone
from tests.kubernetes.emulator.statuses import ApiError, bad_request

OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")
MAX_OPERATIONS = 10_000


def apply(target: Any, operations: Any) -> Any:
    """Raises ApiError: 400 for what is no patch, 422 for one that does not fit."""
    if not isinstance(operations, list):
        raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    if len(operations) > MAX_OPERATIONS:
        raise ApiError(
            413, "RequestEntityTooLarge", f"the allowed maximum operations in a JSON patch is {MAX_OPERATIONS}"
        )
    result = clone(target)
    for operation in operations:
        result = _step(result, operation)
    return result


def _step(document: Any, operation: Object) -> Any:
    name, path = operation.get("op"), operation.get("path", "")
    if name not in OPERATIONS:
        raise _unfit(f"Unexpected kind: {name}")
    if name == "test":
        if _find(document, path) != operation.get("value"):
            raise _unfit(f"testing value {path} failed: test failed")
        return document
    if name in ("move", "copy"):
        value = clone(_find(document, operation.get("from", "")))
        if name == "move":
            document = _change(document, operation.get("from", ""), "remove", None)
        return _change(document, path, "add", value)
    return _change(document, path, name, clone(operation.get("value")))


def _change(document: Any, path: str, name: str, value: Any) -> Any:
    steps = _steps(path)
    if not steps:
        return value
    parent = document
    for step in steps[:-1]:
        parent = _child(parent, step, path)
    last = steps[-1]
    if isinstance(parent, list):
        _change_list(parent, last, path, name, value)
    elif isinstance(parent, dict):
        if name != "add" and last not in parent:
            raise _unfit(f"{name} operation does not apply: doc is missing key: {path}: missing value")
        if name == "remove":
            del parent[last]
        else:
            parent[last] = value
    else:
        raise _unfit(f"{name} operation does not apply: doc is missing path: {path}: missing value")
    return document


def _change_list(items: list[Any], step: str, path: str, name: str, value: Any) -> None:
    if name == "add":
        index = len(items) if step == "-" else _index(step, len(items) + 1, path)
        items.insert(index, value)
    elif name == "remove":
        del items[_index(step, len(items), path)]
    else:
        items[_index(step, len(items), path)] = value


def _find(document: Any, path: str) -> Any:
    for step in _steps(path):
        document = _child(document, step, path)
    return document


def _child(value: Any, step: str, path: str) -> Any:
    if isinstance(value, list):
        return value[_index(step, len(value), path)]
    if isinstance(value, dict) and step in value:
        return value[step]
    raise _unfit(f"doc is missing path: {path}: missing value")


def _index(step: str, length: int, path: str) -> int:
    if not step.isdecimal() or int(step) >= length:
        raise _unfit(f"unable to access invalid index: {step} of {path}: invalid index referenced")
    return int(step)


def _steps(path: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]


def _unfit(why: str) -> ApiError:
    return ApiError(422, "Invalid", f"the server rejected our request due to an error in our request: {why}")
