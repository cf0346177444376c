"""The idler as a service: its loop, and /metrics and /healthz on its own port."""

from __future__ import annotations

from springtide.idler.settings import IdlerSettings
from springtide.idler.sweep import Idler, IdlerDeps
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.exposition import exposition
from springtide.runtime.served_loop import ServedLoop
from springtide.wire import leadership

__all__ = ["IdlerDeps", "build"]


def build(settings: IdlerSettings, deps: IdlerDeps) -> ServedLoop:
    """The service, not yet started; ``port`` tells where it listens once it is."""
    idler = Idler(settings, deps)
    leadership.show(deps.leadership, deps.registry)
    server = AsgiServer(exposition(deps.registry), name="idler", host=settings.host, port=settings.port)
    return ServedLoop(server, idler.run)
