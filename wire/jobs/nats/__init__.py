"""The broker: NATS JetStream, by its own client. Importing this package needs the extra ``async``."""

from springtide.runtime.lean_imports import hidden

with hidden(("aiohttp",)):  # the client takes it for websockets where it finds it, and 20 megabytes with it
    import nats  # noqa: F401
