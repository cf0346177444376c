"""Structured logs: readable with colour on a terminal, one JSON object a line elsewhere. Secrets never reach here."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor


def configure(*, stream: TextIO = sys.stderr, level: int = logging.INFO) -> None:
    """Send every logger of this process to ``stream``. Call once, from a process's entry point."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if stream.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_of_libraries(stream, shared, rendering)], level=max(level, logging.WARNING))


def _of_libraries(stream: TextIO, shared: list[Processor], rendering: list[Processor]) -> logging.Handler:
    """What libraries log by the standard library, in the same form."""
    handler = logging.StreamHandler(stream)
    named: list[Processor] = [structlog.stdlib.add_logger_name, *shared]
    unmarked = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=named, processors=[unmarked, *rendering])
    )
    return handler
