"""What the processes of a suite need, imported once for all before the first of them is forked."""

from __future__ import annotations

import importlib

from springtide.gateway.workers import forker
from springtide.runtime.tls import client_context

MODULES = (
    "springtide.cli.parts.control",
    "springtide.cli.parts.gateway",
    "springtide.cli.parts.provider",
    "springtide.gateway.service",
)


def import_all() -> None:
    for name in MODULES:
        importlib.import_module(name)
    forker.import_late()
    client_context()
