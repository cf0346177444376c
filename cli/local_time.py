"""Instants for who looks."""

from __future__ import annotations

from datetime import datetime


def local_time(text: str) -> str:
    """Of an instant in RFC 3339: on the clock of who looks, which it names by its distance from UTC."""
    return datetime.fromisoformat(text).astimezone().isoformat(sep=" ", timespec="seconds")
