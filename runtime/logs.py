"""Structured logs: readable with colour on a terminal, one JSON object a line elsewhere. Secrets never reach here.

Logging never raises: a line that cannot be written is lost, and the next that can says how many were (``lines_lost``).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Protocol, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from springtide.runtime.lossy_stream import LossyStream, adopt_standard_streams

STDERR = 2

Render = Callable[[WrappedLogger, str, EventDict], str | bytes]


class Stream(Protocol):
    """Where lines go; ``LossyStream`` is one. Nothing here raises."""

    @property
    def lost(self) -> int: ...

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


def configure(*, stream: Stream | None = None, level: int = logging.INFO) -> None:
    """Send every logger of this process to ``stream``, or else to standard error. Call once, from its entry point.

    What else it prints, to standard output or error, raises nothing either from now on.
    """
    adopt_standard_streams()
    stream = stream or LossyStream(STDERR)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tells_of_lost(stream),
    ]
    rendering: list[Processor] = [_anyhow(_to_console() if stream.isatty() else _to_json())]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", stream)),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_of_libraries(stream, shared, rendering)], level=max(level, logging.WARNING))


def _of_libraries(stream: Stream, shared: list[Processor], rendering: list[Processor]) -> logging.Handler:
    """What libraries log by the standard library, in the same form."""
    handler = logging.StreamHandler(stream)
    named: list[Processor] = [structlog.stdlib.add_logger_name, *shared]
    unmarked = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=named, processors=[unmarked, *rendering])
    )
    return handler


def _tells_of_lost(stream: Stream) -> Processor:
    def process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        if stream.lost:
            event["lines_lost"] = stream.lost
        return event

    return process


def _to_console() -> Render:
    # What structlog makes of a traceback where rich is at hand shows local variables, and among them secrets.
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


def _to_json() -> Render:
    as_json = structlog.processors.JSONRenderer()
    return lambda logger, name, event: as_json(logger, name, structlog.processors.format_exc_info(logger, name, event))


def _anyhow(render: Render) -> Processor:
    """A value that cannot be shown costs its line what else it says, not its writer."""

    def process(logger: WrappedLogger, name: str, event: EventDict) -> str | bytes:
        try:
            return render(logger, name, event)
        except Exception as error:  # noqa: BLE001 - somebody's repr: it may raise anything
            known = ("event", "level", "timestamp", "lines_lost")
            shown = {key: event[key] for key in known if isinstance(event.get(key), str | int)}
            return json.dumps({**shown, "not_shown": type(error).__name__})

    return process
