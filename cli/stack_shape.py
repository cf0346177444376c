"""Which keys a stack file has where, and keys that stand a level off, which is what most broken files have. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ROOT_KEYS = ("version", "provider", "functions", "configuration")
PROVIDER_KEYS = ("name", "gateway")
CONFIGURATION_KEYS = ("templates", "copy")
FUNCTION_KEYS = (
    "lang",
    "handler",
    "image",
    "fprocess",
    "environment",
    "environment_file",
    "secrets",
    "skip_build",
    "constraints",
    "labels",
    "annotations",
    "schedule",
    "limits",
    "requests",
    "readonly_root_filesystem",
    "build_options",
    "build_args",
    "build_secrets",
    "platforms",
    "namespace",
)
RESOURCE_KEYS = ("memory", "cpu", "nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu")
_ROOT_KEY = re.compile(r"^[\"']?([\w.-]+)[\"']?[ \t]*:(?:[ \t]+(&)|[ \t\r]*$|[ \t])", re.MULTILINE)
_TELLING = ("image", "fprocess", "lang", "handler")
"""A mapping with one of these is a function."""


def is_function(value: object) -> bool:
    return isinstance(value, dict) and any(key in value for key in _TELLING)


def for_reuse(text: str) -> frozenset[str]:
    """Keys of a file's root that hold an anchor, ``x-common: &common``, or whose name says so: read elsewhere."""
    return frozenset(key for key, anchor in _ROOT_KEY.findall(text) if anchor or key.startswith("x-"))


def misplaced_in_root(root: Mapping[str, Any]) -> dict[str, str]:
    """Keys that belong further in, and what to do with each."""
    remedies: dict[str, str] = {}
    for key, value in root.items():
        if key in ROOT_KEYS:
            continue
        if is_function(value):
            remedies[key] = "a function; indent it, to stand under functions"
        elif key in FUNCTION_KEYS:
            remedies[key] = "a key of a function; indent it, to stand under the function's name, under functions"
        elif key == "gateway":
            remedies[key] = "a key of provider; indent it, to stand under provider"
    return remedies


def with_keys_in_place(functions: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The functions, each with the keys that stand beside instead of under it, and what to say of those keys."""
    placed: dict[str, Any] = {}
    problems: list[str] = []
    owner: str | None = None
    for name, value in functions.items():
        if name not in FUNCTION_KEYS or is_function(value):
            placed[name], owner = value, name
            continue
        under = f"{owner}" if owner is not None else "the function's name"
        problems.append(f"functions.{name}: a key of a function, not a function; indent it, to stand under {under}")
        entry = placed.get(owner) if owner is not None else None
        if owner is not None and (entry is None or isinstance(entry, dict)):
            placed[owner] = {**(entry or {}), name: value}
    return placed, problems
