"""The idler as a service: its loop, and /metrics and /healthz on its own port."""

from __future__ import annotations

from idler.settings import IdlerSettings
from idler.sweep import Idler, IdlerDeps
from runtime.asgi_server import AsgiServer
from runtime.background import ServedLoop
from runtime.exposition import exposition
from scaler import leadership

__all__ = ["IdlerDeps", "build"]


def build(settings: IdlerSettings, deps: IdlerDeps) -> ServedLoop:
    """The service, not yet started; ``port`` tells where it listens once it is."""
    idler = Idler(settings, deps)
    leadership.show(deps.leadership, deps.registry)
    server = AsgiServer(exposition(deps.registry), name="idler", host=settings.host, port=settings.port)
    return ServedLoop(server, idler.run)
