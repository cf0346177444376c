"""The environment a forked program gets: the replica's, and the call's headers, method and path as ``Http_…``."""

from __future__ import annotations

import os
from collections.abc import Mapping

from springtide.watchdog.calls import Scope


def for_call(base: Mapping[str, str], scope: Scope) -> dict[str, str]:
    env = dict(base)
    for name, value in scope["headers"]:
        # A header that comes twice is joined, as CGI does it.
        key, text = "Http_" + canonical(name).replace("-", "_"), os.fsdecode(value)
        env[key] = f"{env[key]}, {text}" if key in env and key not in base else text
    env["Http_Method"] = scope["method"]
    if "Http_Content_Length" in env:
        env["Http_ContentLength"] = env["Http_Content_Length"]
    if scope["query_string"]:
        env["Http_Query"] = os.fsdecode(scope["query_string"])
    env["Http_Path"] = scope["path"].replace("\0", "")
    return env


def canonical(name: bytes) -> str:
    """``x-call-id`` becomes ``X-Call-Id``."""
    return "-".join(part.capitalize() for part in name.decode("latin-1").split("-"))
