"""A source of what a connector's file would say."""

from __future__ import annotations

from collections.abc import Mapping

from springtide.triggers.source import Source
from springtide.triggers.sources import kinds


def built(asked: Mapping[str, str]) -> Source:
    """``asked``: its kind, and its keys."""
    return kinds.build(asked["kind"], "events", {key: value for key, value in asked.items() if key != "kind"})
