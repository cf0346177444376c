"""What the processes of a suite need, imported once for all before the first of them is forked."""

from __future__ import annotations

import importlib
import importlib.util

from springtide.cli.nats_server import CLIENT
from springtide.gateway.workers import forker
from springtide.runtime.tls import client_context

MODULES = (
    "springtide.cli.parts.control",
    "springtide.cli.parts.gateway",
    "springtide.cli.parts.provider",
    "springtide.gateway.service",
)

QUEUEING = (
    "springtide.wire.jobs.nats.inspection",
    "springtide.wire.jobs.nats.source",
    "springtide.wire.jobs.nats.store",
)
"""What speaks to the broker, an extra: imported by each process itself it takes ten megabytes of each."""


def import_all() -> None:
    queueing = QUEUEING if importlib.util.find_spec(CLIENT) is not None else ()
    for name in (*MODULES, *queueing):
        importlib.import_module(name)
    forker.import_late()
    client_context()
