"""Redirects every caller to the environment variable ``destination``."""

from __future__ import annotations

from os import environ  # Function code, run in a replica: its environment is its settings.


def handle(event: object, context: object) -> dict[str, object]:  # noqa: ARG001 - the handler convention
    return {"statusCode": 302, "headers": {"Location": environ["destination"]}}
